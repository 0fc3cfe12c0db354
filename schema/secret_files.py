"""Secrets from files, as container runtimes and credential stores hand them over.

`TRIAGE_DATABASE_URL_FILE=/run/secrets/database` sets TRIAGE_DATABASE_URL to what is in the file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from schema.errors import SettingsError

SECRETS: Final = ("TRIAGE_DATABASE_URL", "TRIAGE_BROKER_URL", "TRIAGE_STOW_TOKEN")
SUFFIX: Final = "_FILE"
FILE_NAMES: Final = frozenset(name + SUFFIX for name in SECRETS)


def read_secret_files(given: Mapping[str, str]) -> dict[str, str]:
    """Read the secrets that are given as files, by the names of their settings.

    Raises
    ------
    SettingsError
        If a secret is given twice, or its file cannot be read.
    """
    return {name: _read(name, given) for name in SECRETS if name + SUFFIX in given}


def _read(name: str, given: Mapping[str, str]) -> str:
    file = given[name + SUFFIX]
    if name in given:
        raise SettingsError(f"{name} and {name}{SUFFIX} are both set; unset one of them")
    try:
        return Path(file).read_text().strip()
    except UnicodeDecodeError as error:
        raise SettingsError(f"{name}{SUFFIX}: {file}: not a text file") from error
    except OSError as error:
        raise SettingsError(f"{name}{SUFFIX}: {file}: {error.strerror or error}") from error
