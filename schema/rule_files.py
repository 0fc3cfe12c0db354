"""Versioned TOML files that a site may edit; a file that loads is a valid one."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schema.errors import SettingsError


class Table(BaseModel):
    """A table of such a file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


T = TypeVar("T", bound=Table)


def read_table(kind: type[T], path: Path, what: str, **known: object) -> T:
    """Read such a file.

    Parameters
    ----------
    what
        What is put there, in words.
    known
        Values of it that no file gives.

    Raises
    ------
    SettingsError
        If it is missing or no TOML, or has an unknown, missing or bad value; one line that names
        the file and the key.
    """
    try:
        return kind(**tomllib.loads(path.read_text("utf-8")), **known)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; put {what} there") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error)}; compare it with the shipped one") from error
    except (ValueError, TypeError) as error:  # no TOML, no UTF-8, or a value that is known
        raise SettingsError(f"{path}: {error}; compare it with the shipped one") from error


def _first(error: ValidationError) -> str:
    """Name the first key that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    given = "" if first["type"] in ("missing", "extra_forbidden") else f" = {first['input']!r}"
    words = {"missing": "is missing", "extra_forbidden": "is no key of it"}
    return f"{key}{given}: {words.get(first['type'], first['msg'].removeprefix('Value error, '))}"
