"""What every part needs of files: names that survive a power cut, and what a megabyte is."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

OWNER_ALONE: Final = 0o700
OTHERS: Final = 0o077
MEGABYTE: Final = 1_000_000  # in every setting that ends in _MB


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk, so that a new name survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_private() -> None:
    """Make what this process writes from now on for its owner alone: patients are in it."""
    os.umask(OTHERS)


def make_private(folder: Path) -> None:
    """Make a folder for its owner alone, and take it from others where it was there before."""
    folder.mkdir(mode=OWNER_ALONE, parents=True, exist_ok=True)
    with suppress(PermissionError):  # somebody else's, who decided on it
        folder.chmod(OWNER_ALONE)
