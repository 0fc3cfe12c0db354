"""Slices on this host's disk: for their owner alone, bounded, and gone with the images."""

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from schema.database import Database
from schema.errors import TransientError
from schema.files import MEGABYTE
from schema.settings import Settings
from worklist.images.sources import still_here

ENDING: Final = ".slices"
OURS: Final = re.compile(r"[0-9]{1,18}-")  # begins with the number of an analysis
FOLDER: Final = "pictures"


def make_cache(settings: Settings) -> "Cache":
    """Give the cache of this host."""
    return Cache(settings.home / FOLDER, settings.picture_cache_mb * MEGABYTE)


class Cache:
    """Files of slices, one for each series; the one that was looked at longest ago goes first.

    A file that is open while it goes stays readable to whoever opened it.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()

    def find(self, name: str) -> Path | None:
        """Give the file of a series, if it is here."""
        path = self._folder / f"{name}{ENDING}"
        if not path.exists():
            return None
        with suppress(OSError):  # a disk that became read-only still shows it
            os.utime(path)  # looked at now
        return path

    def add(self, name: str, write: Callable[[BinaryIO], None]) -> Path:
        """Write a file, whole or not at all, and make room for it.

        Raises
        ------
        TransientError
            The disk is full or does not answer.
        """
        path = self._folder / f"{name}{ENDING}"
        part = path.with_suffix(f".{threading.get_ident()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "wb") as file:
                write(file)
            part.replace(path)
        except OSError as error:
            raise TransientError(f"{self._folder}: {error.strerror}; no image is shown") from error
        finally:
            with suppress(OSError):  # the error above is the one to tell
                part.unlink()
        self._make_room(path)
        return path

    def clear(self) -> None:
        """Remove everything, also what a process that was killed left half-written."""
        with suppress(FileNotFoundError):
            for path in self._folder.iterdir():
                path.unlink(missing_ok=True)

    def forget_removed(self, database: Database) -> int:
        """Remove the slices of series whose images retention has removed; return how many."""
        held = {path: int(path.name.partition("-")[0]) for path in self._files()}
        if not held:
            return 0
        with database.reading() as session:
            kept = still_here(session, held.values())
        removed = [path for path, job_id in held.items() if job_id not in kept]
        for path in removed:
            path.unlink(missing_ok=True)
        return len(removed)

    def _make_room(self, newest: Path) -> None:
        with self._lock:
            sizes = {path: path.stat() for path in self._files()}
            used = sum(size.st_size for size in sizes.values())
            for path in sorted(sizes, key=lambda path: sizes[path].st_mtime_ns):
                if used <= self._limit_bytes or path == newest:
                    continue
                path.unlink(missing_ok=True)
                used -= sizes[path].st_size

    def _files(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            found = self._folder.glob(f"*{ENDING}")
            yield from (path for path in found if OURS.match(path.name))
