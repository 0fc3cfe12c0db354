"""What every part needs of files: names that survive a power cut, and what a megabyte is."""

import os
from pathlib import Path
from typing import Final

MEGABYTE: Final = 1_000_000  # in every setting that ends in _MB


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk, so that a new name survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
