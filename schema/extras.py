"""What a command needs of an extra that its host may not have."""

from collections.abc import Iterator
from contextlib import contextmanager

from schema.errors import SettingsError
from schema.settings import stop


@contextmanager
def of_extra(extra: str) -> Iterator[None]:
    """Import within it what comes with an extra; without it the program ends with one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        why = f"this host has not the extra {extra!r} ({error.name} is not installed)"
        stop(SettingsError(f"{why}: run it on one that has"))
