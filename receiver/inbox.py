"""The inbox: where an object is safe before the sender hears of success.

One folder an association, one file an object, a marker when the association is over. The receiver
needs no database to keep what it acknowledges; the catalogue takes the files in afterwards.
"""

import errno
import hashlib
import itertools
import json
import os
import shutil
import threading
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from receiver.protocol.file_meta import DIGEST_BYTES, digest_matches
from schema.dicom import DimsePriority
from schema.errors import StorageFullError
from schema.files import make_private, sync_folder
from schema.space import read_space

FOLDER: Final = "inbox"
CLOSED: Final = "closed"
ABORTED: Final = "aborted"  # what the marker holds then; else it is empty, as that of 0.1.0
SENDER: Final = "sender.json"
OBJECT_SUFFIX: Final = ".dcm"
PARTIAL_SUFFIX: Final = ".part"
RESERVE: Final = 32  # a usual series; the rest is removed when the association ends
MOST_LETTERS: Final = 64  # of a sender's name or address
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
MARKS: Final = MappingProxyType(
    {DimsePriority.MEDIUM: "", DimsePriority.HIGH: "-high", DimsePriority.LOW: "-low"}
)


@dataclass(frozen=True)
class Sender:
    """Who opened an association, and when (ISO 8601, UTC)."""

    calling_ae: str
    peer: str
    opened_at: str


class IncomingObject:
    """An object on its way to disk; it is kept whole, or nothing of it stays.

    Its file exists already, empty and with a durable name (`AssociationFolder`).
    """

    def __init__(self, partial: Path, meta: bytes, max_bytes: int) -> None:
        self._partial = partial
        self._max_bytes = max_bytes
        self._meta_bytes = len(meta)
        self._digest = hashlib.sha256()
        self.dataset_bytes = 0
        self._file = os.open(partial, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._write(memoryview(meta))
        except BaseException:
            self.discard()
            raise

    def write(self, data: memoryview) -> None:
        """Write the next piece of the dataset.

        Raises
        ------
        StorageFullError
            If the disk is full or the object longer than it may be.
        """
        self.dataset_bytes += len(data)
        if self.dataset_bytes > self._max_bytes:
            raise StorageFullError("storage: object is larger than TRIAGE_MAX_OBJECT_MB")
        self._digest.update(data)
        self._write(data)

    def head(self, length: int) -> bytes:
        """Read back the beginning of the dataset."""
        return os.pread(self._file, length, self._meta_bytes)

    def keep(self, priority: DimsePriority = DimsePriority.MEDIUM) -> Path:
        """Put the object on disk: it is durable when this returns.

        Sealed with its hash, the file is known to be whole even if a power cut takes back the
        rename; so one fsync is enough. Its priority is in its name: what a power cut may cost.

        Raises
        ------
        StorageFullError
            If the disk is full after all.
        """
        target = self._partial.with_name(f"{self._partial.stem}{MARKS[priority]}{OBJECT_SUFFIX}")
        with _naming_a_full_disk(target):
            os.pwrite(self._file, self._digest.digest(), self._meta_bytes - DIGEST_BYTES)
            os.fsync(self._file)
            self._partial.rename(target)
        os.close(self._file)
        return target

    def discard(self) -> None:
        """Leave nothing behind."""
        os.close(self._file)
        self._partial.unlink(missing_ok=True)

    def _write(self, data: memoryview) -> None:
        with _naming_a_full_disk(self._partial):
            while data:
                data = data[os.write(self._file, data) :]


class AssociationFolder:
    """The objects of one association.

    The names of the next objects are made durable in advance, many with one fsync of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count(1)
        self._reserved: deque[Path] = deque()
        self._reserve()

    def begin(self, meta: bytes, max_bytes: int) -> IncomingObject:
        """Begin the association's next object with its File Meta Information.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        if not self._reserved:
            self._reserve()
        return IncomingObject(self._reserved.popleft(), meta, max_bytes)

    def close(self, *, aborted: bool = False) -> None:
        """Mark the association as over, evidence that no more of it comes.

        Parameters
        ----------
        aborted
            Its sender did not release it: more may have been meant to come.
        """
        for partial in self._reserved:
            partial.unlink(missing_ok=True)
        _mark_closed(self.path, ABORTED if aborted else "")

    def _reserve(self) -> None:
        with _naming_a_full_disk(self.path):
            for number in itertools.islice(self._numbers, RESERVE):
                partial = self.path / f"{number:08d}{PARTIAL_SUFFIX}"
                os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                self._reserved.append(partial)
            sync_folder(self.path)


class Inbox:
    """All associations whose objects are not in the catalogue yet.

    Attributes
    ----------
    acceptor
        Begins the name of every folder that this process makes, itself begun by the receiver's, so
        that what a killed one leaves open can be told from what others are still receiving.
    turn
        Held by the association that writes just now.
    """

    def __init__(self, storage: Path, min_free_bytes: int, acceptor: str = "") -> None:
        self.path = storage / FOLDER
        self.acceptor = acceptor
        self.turn = threading.Lock()
        self._min_free_bytes = min_free_bytes
        make_private(storage)
        make_private(self.path)

    def open_association(self, calling_ae: str, peer: str) -> AssociationFolder:
        """Make the folder of a new association; its name is ours, not the network's.

        Raises
        ------
        StorageFullError
            If the disk is full.
        """
        path = self.path / f"{self.acceptor}{uuid.uuid4().hex}"
        sender = Sender(calling_ae, peer, datetime.now(UTC).isoformat())
        try:
            with _naming_a_full_disk(path):
                path.mkdir()
                (path / SENDER).write_text(json.dumps(asdict(sender)), encoding="utf-8")
                _write_marker(_marker(path), ABORTED)
                sync_folder(self.path)
            return AssociationFolder(path)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            _marker(path).unlink(missing_ok=True)
            raise

    def require_space(self) -> None:
        """Refuse early rather than half-keep.

        Raises
        ------
        StorageFullError
            If less than the watermark TRIAGE_MIN_FREE_MB is free, or hardly an inode.
        """
        if lack := read_space(self.path).lack(self._min_free_bytes):
            raise StorageFullError(f"storage: {lack}")

    def close_abandoned(self, acceptor: str) -> None:
        """Mark what a killed acceptor left open: its associations are over, its objects are not."""
        for folder in self.path.glob(f"{acceptor}*/"):
            close_folder(folder)


def folders(storage: Path) -> list[Path]:
    """List the folders of the associations that are in the inbox of a storage."""
    return [path for path in (storage / FOLDER).iterdir() if path.is_dir()]


def waiting_since(storage: Path) -> Iterator[float]:
    """Give of each object that waits for its row since when it does, in seconds of the epoch."""
    for path in (storage / FOLDER).glob(f"*/*{OBJECT_SUFFIX}"):
        with suppress(FileNotFoundError):  # taken in just now
            yield path.stat().st_mtime


def receiver_of(folder: Path) -> str:
    """Name the receiver whose acceptor made a folder of the inbox."""
    return folder.name.partition("-")[0]


def close_folder(folder: Path) -> None:
    """Mark an association as over that nobody serves any more."""
    with suppress(FileNotFoundError):  # taken in and cleared away meanwhile
        for partial in folder.glob(f"*{PARTIAL_SUFFIX}"):
            _recover(partial)
        _mark_closed(folder, ABORTED)


def _mark_closed(folder: Path, how: str) -> None:
    """Make the marker whole or not at all: who sees it reads how the association ended."""
    marker = _marker(folder)
    _write_marker(marker, how)
    try:
        marker.rename(folder / CLOSED)
    except FileNotFoundError:
        marker.unlink()
        raise


def _marker(folder: Path) -> Path:
    """Name what becomes the marker; it is there from the beginning: the disk may be full later."""
    return folder.with_name(f"{folder.name}.{CLOSED}")


def _write_marker(marker: Path, how: str) -> None:
    """Write how an association ended, if that is not there: to shorten a file needs no space."""
    if _content(marker) != how:
        marker.write_text(how, encoding="ascii")


def was_aborted(folder: Path) -> bool:
    """Say whether the association of a folder ended without a release."""
    return _content(folder / CLOSED) == ABORTED


def _content(marker: Path) -> str | None:
    with suppress(FileNotFoundError):
        return marker.read_text(encoding="ascii", errors="replace")
    return None


def _recover(partial: Path) -> None:
    """Keep what is whole: it may be acknowledged. Of the rest, the sender has its copy."""
    if digest_matches(partial):
        partial.rename(partial.with_suffix(OBJECT_SUFFIX))
    else:
        partial.unlink()


def priority_of(path: Path) -> DimsePriority:
    """Say with which priority an object in the inbox was sent."""
    _, dash, mark = path.stem.partition("-")
    known = {name: priority for priority, name in MARKS.items()}
    return known.get(dash + mark, DimsePriority.MEDIUM)


def read_sender(folder: Path) -> Sender:
    """Read who opened the association of a folder; a torn note costs only the name.

    What a later release wrote beside it is passed over.
    """
    try:
        said = json.loads((folder / SENDER).read_text(encoding="utf-8"))
        sender = Sender(**{each.name: said[each.name] for each in fields(Sender)})
        datetime.fromisoformat(sender.opened_at)
        return Sender(_line(sender.calling_ae), _line(sender.peer), sender.opened_at)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Sender("", "", datetime.now(UTC).isoformat())


def _line(value: object) -> str:
    """Give a value as a database takes it; PostgreSQL refuses NUL and half of a surrogate pair."""
    return "".join(char for char in str(value) if char.isprintable())[:MOST_LETTERS]


@contextmanager
def _naming_a_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StorageFullError(f"storage: {error.strerror} in {path.parent.name}") from error
        raise
