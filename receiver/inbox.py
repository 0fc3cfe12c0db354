"""The inbox: where an object is safe before the sender hears of success.

One folder an association, one file an object, a marker when the association is over. The receiver
needs no database to keep what it acknowledges; the catalogue takes the files in afterwards.
"""

import errno
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from schema.errors import StorageFullError

FOLDER: Final = "inbox"
CLOSED: Final = "closed"
SENDER: Final = "sender.json"
OBJECT_SUFFIX: Final = ".dcm"
PARTIAL_SUFFIX: Final = ".part"
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Sender:
    """Who opened an association, and when (ISO 8601, UTC)."""

    calling_ae: str
    peer: str
    opened_at: str


class IncomingObject:
    """An object on its way to disk; it is kept whole, or nothing of it stays."""

    def __init__(self, target: Path, folder: int, meta_bytes: int, max_bytes: int) -> None:
        self._target = target
        self._partial = target.with_suffix(PARTIAL_SUFFIX)
        self._folder = folder
        self._max_bytes = max_bytes
        self._meta_bytes = meta_bytes
        self.dataset_bytes = -meta_bytes
        with _naming_a_full_disk(target):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._file = os.open(self._partial, flags, 0o600)

    def write(self, data: memoryview) -> None:
        """Write the next piece.

        Raises
        ------
        StorageFullError
            If the disk is full or the object longer than it may be.
        """
        self.dataset_bytes += len(data)
        if self.dataset_bytes > self._max_bytes:
            raise StorageFullError("storage: object is larger than TRIAGE_MAX_OBJECT_MB")
        with _naming_a_full_disk(self._target):
            while data:
                data = data[os.write(self._file, data) :]

    def head(self, length: int) -> bytes:
        """Read back the beginning of the dataset."""
        return os.pread(self._file, length, self._meta_bytes)

    def keep(self) -> Path:
        """Put the object on disk: file and folder are durable when this returns.

        Raises
        ------
        StorageFullError
            If the disk is full after all.
        """
        with _naming_a_full_disk(self._target):
            os.fsync(self._file)
            self._partial.rename(self._target)
            os.fsync(self._folder)  # the new name, too, survives a power cut
        os.close(self._file)
        return self._target

    def discard(self) -> None:
        """Leave nothing behind."""
        os.close(self._file)
        self._partial.unlink(missing_ok=True)
        self._target.unlink(missing_ok=True)  # renamed, but perhaps not on disk: not acknowledged


class AssociationFolder:
    """The objects of one association."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count(1)
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def begin(self, meta: bytes, max_bytes: int) -> IncomingObject:
        """Begin the association's next object with its File Meta Information.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        target = self.path / f"{next(self._numbers):08d}{OBJECT_SUFFIX}"
        incoming = IncomingObject(target, self._descriptor, len(meta), max_bytes)
        try:
            incoming.write(memoryview(meta))
        except BaseException:
            incoming.discard()
            raise
        return incoming

    def close(self) -> None:
        """Mark the association as over, evidence that no more of it comes."""
        os.close(self._descriptor)
        (self.path / CLOSED).touch()


class Inbox:
    """All associations whose objects are not in the catalogue yet.

    Attributes
    ----------
    acceptor
        Begins the name of every folder that this process makes, so that what it leaves open when it
        is killed can be told from what others are still receiving.
    """

    def __init__(self, storage: Path, min_free_bytes: int, acceptor: str = "") -> None:
        self.path = storage / FOLDER
        self.acceptor = acceptor
        self._min_free_bytes = min_free_bytes
        self.path.mkdir(parents=True, exist_ok=True)

    def open_association(self, calling_ae: str, peer: str) -> AssociationFolder:
        """Make the folder of a new association; its name is ours, not the network's.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        path = self.path / f"{self.acceptor}{uuid.uuid4().hex}"
        with _naming_a_full_disk(path):
            path.mkdir()
            sender = Sender(calling_ae, peer, datetime.now(UTC).isoformat())
            (path / SENDER).write_text(json.dumps(asdict(sender)), encoding="utf-8")
            sync_folder(self.path)
        return AssociationFolder(path)

    def require_space(self) -> None:
        """Refuse early rather than half-keep.

        Raises
        ------
        StorageFullError
            If less than the watermark TRIAGE_MIN_FREE_MB is free.
        """
        if shutil.disk_usage(self.path).free < self._min_free_bytes:
            raise StorageFullError("storage: less than TRIAGE_MIN_FREE_MB free")

    def close_abandoned(self, acceptor: str = "") -> None:
        """Mark what a killed acceptor left open: its associations are over, its objects are not."""
        for folder in self.path.glob(f"{acceptor}*/"):
            for partial in folder.glob(f"*{PARTIAL_SUFFIX}"):
                partial.unlink(missing_ok=True)  # never acknowledged, so the sender still has it
            with suppress(FileNotFoundError):  # taken in and cleared away meanwhile
                (folder / CLOSED).touch()


def read_sender(folder: Path) -> Sender:
    """Read who opened the association of a folder; a torn note costs only the name."""
    try:
        return Sender(**json.loads((folder / SENDER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Sender("", "", datetime.now(UTC).isoformat())


@contextmanager
def _naming_a_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(f"storage: {error.strerror} in {path.parent.name}") from error
        raise


def sync_folder(path: Path) -> None:
    """Put a folder's entries on disk, so that a new name survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
