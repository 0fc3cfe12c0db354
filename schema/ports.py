"""Listening on a port that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from schema.errors import SettingsError


@contextmanager
def naming_the_setting(names: str, host: str, port: int) -> Iterator[None]:
    """Say by which settings an address was chosen that cannot be listened on.

    Raises
    ------
    SettingsError
        If somebody else has the port, or the host is none of this machine's.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"{names}: cannot listen on {host}:{port}: {error}; choose another"
        ) from error
