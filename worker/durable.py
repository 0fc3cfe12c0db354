"""Write a result file once: complete and on disk, or not at all."""

import errno
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, cast

from schema.errors import StorageFullError, TransientError
from schema.files import sync_folder

RESULTS: Final = "results"  # folder of the storage
PART: Final = ".part-"  # before the name of a file that is being written
LEFT_S: Final = 24 * 3600.0
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
GROUP_MAY_READ: Final = 0o640  # the page and delivery may run as users of their own


def write_once(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under its final name, unless it is there already.

    The bytes are synced before they get their name, and the names by `sync_names`, once for all
    files of a result. The name is given by a hard link, which, unlike a rename, never replaces the
    file of another worker.

    Parameters
    ----------
    path
        The final name; its folder is made when missing.
    write
        Writes the content to an open file.

    Raises
    ------
    StorageFullError
        No space is left.
    TransientError
        The storage did not take the file for another reason.
    """
    with _storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, write)


def sync_names(folder: Path) -> None:
    """Let the names that were given in a folder survive a power cut, before a row refers to them.

    Raises
    ------
    TransientError
        The storage does not do it.
    """
    if folder.exists():
        with _storage_errors(folder):
            sync_folder(folder)


def remove_left(folder: Path) -> None:
    """Remove what workers that were killed left half written, a day after: it is somebody's head.

    Raises
    ------
    TransientError
        The storage does not do it.
    """
    with _storage_errors(folder):
        for path in folder.glob(f"{PART}*"):
            with suppress(FileNotFoundError):  # another worker looks, too
                if time.time() - path.stat().st_mtime > LEFT_S:
                    path.unlink()


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StorageFullError if error.errno in FULL else TransientError
        raise kind(f"{path}: {error.strerror or error}; check the storage") from error


def _write(path: Path, write: Callable[[BinaryIO], None]) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=PART) as file:
        write(cast("BinaryIO", file))
        file.flush()
        os.fchmod(file.fileno(), GROUP_MAY_READ)
        os.fsync(file.fileno())
        try:
            path.hardlink_to(file.name)
        except FileExistsError:
            return  # another worker was first with the same result
