"""Who receives into a storage: a file for each receiver, locked as long as a process of it lives.

The acceptors inherit the lock, so that a receiver is gone only when the last of them is: one that
still wrote while another closes what it left could lose its association's end.
"""

import fcntl
import os
import time
import uuid
from pathlib import Path
from typing import Final

import structlog

from schema.errors import SettingsError
from schema.files import make_private
from schema.owners import is_gone, this_process

log = structlog.get_logger()

FOLDER: Final = "receivers"
SIGN_S: Final = 1.0  # between two signs of life
SILENT_S: Final = 15.0  # below TRIAGE_SERIES_SILENCE_S: what it left is decided on with the rest
OLD_LOCK: Final = "receiver.lock"  # release 0.1 holds it alone: one receiver a storage
LOCK_DEADLINE_S: Final = 10.0


class Presence:
    """A receiver's place on the roster of its storage, from its start to its end.

    Attributes
    ----------
    name
        Begins the names of its associations' folders.
    locks
        Descriptors that its processes inherit.
    """

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER
        make_private(storage)
        make_private(self._folder)
        self.name = uuid.uuid4().hex[:12]
        self._path = self._folder / self.name
        self.locks = (_share(storage / OLD_LOCK), _hold(self._path))

    def show(self) -> bool:
        """Give a sign of life; False if another receiver took this one for gone."""
        try:
            os.utime(self._path)
        except FileNotFoundError:
            return not self._folder.is_dir()  # the storage is away
        return True

    def leave(self) -> None:
        """End it: what is left in the inbox is for the other receivers, or the next one."""
        self._path.unlink(missing_ok=True)
        for descriptor in self.locks:
            os.close(descriptor)

    def present(self) -> set[str]:
        """Name the receivers that are on the roster."""
        return {path.name for path in self._folder.iterdir()}

    def strike_off(self) -> int:
        """Take those off that are gone; return how many."""
        others = [path for path in self._folder.iterdir() if path.name != self.name]
        gone = [path for path in others if self._is_gone(path)]
        for path in gone:
            path.unlink(missing_ok=True)
            log.warning("a receiver is gone, what it left is taken over", receiver=path.name)
        return len(gone)

    def _is_gone(self, path: Path) -> bool:
        """Say whether no process of a receiver lives.

        The lock tells, but not to every host at once, and on a volume that is mounted without locks
        not at all; so what ran on another host must have been silent for a while, too.
        """
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                owner = file.read().decode("utf-8", "replace")
                # Both times are the storage's.
                silent_s = self._path.stat().st_mtime - os.fstat(file.fileno()).st_mtime
        except (BlockingIOError, FileNotFoundError):  # it lives; or it, or we, are off the roster
            return False
        return is_gone(owner) or silent_s > SILENT_S


def _hold(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # at most as long as another looks at it
    os.write(descriptor, this_process().encode())
    return descriptor


def _share(path: Path) -> int:
    """Keep a receiver of release 0.1 out, which would close the associations of all others.

    Raises
    ------
    SettingsError
        If one works on the storage.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_DEADLINE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SettingsError(
                    f"a receiver of release 0.1 works on {path.parent}; stop it first"
                ) from None
            time.sleep(0.05)
        else:
            return descriptor
