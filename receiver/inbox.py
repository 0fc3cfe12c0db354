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


class AssociationFolder:
    """The objects of one association."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count(1)

    def keep(self, encoded: bytes) -> Path:
        """Write one object durably: file and folder are on disk when this returns.

        Raises
        ------
        StorageFullError
            If the disk is full; nothing is left behind.
        """
        target = self.path / f"{next(self._numbers):08d}{OBJECT_SUFFIX}"
        partial = target.with_suffix(PARTIAL_SUFFIX)
        try:
            _write_through(partial, encoded)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno in NO_SPACE:
                raise StorageFullError(
                    f"storage: {error.strerror} in {self.path.parent}"
                ) from error
            raise
        partial.rename(target)
        sync_folder(self.path)
        return target

    def close(self) -> None:
        """Mark the association as over, evidence that no more of it comes."""
        if self.path.exists():  # an emptied folder may have been cleared away already
            (self.path / CLOSED).touch()


class Inbox:
    """All associations whose objects are not in the catalogue yet."""

    def __init__(self, storage: Path, min_free_bytes: int) -> None:
        self.path = storage / FOLDER
        self._min_free_bytes = min_free_bytes
        self.path.mkdir(parents=True, exist_ok=True)

    def open_association(self, calling_ae: str, peer: str) -> AssociationFolder:
        """Make the folder of a new association; its name is ours, not the network's."""
        path = self.path / uuid.uuid4().hex
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
            raise StorageFullError(f"storage: less than TRIAGE_MIN_FREE_MB free in {self.path}")

    def close_abandoned(self) -> None:
        """Mark what a killed receiver left open: its associations are over, its objects are not."""
        for folder in self.path.iterdir():
            for partial in folder.glob(f"*{PARTIAL_SUFFIX}"):
                partial.unlink()  # never acknowledged, so the sender still has it
            (folder / CLOSED).touch()


def read_sender(folder: Path) -> Sender:
    """Read who opened the association of a folder; a torn note costs only the name."""
    try:
        return Sender(**json.loads((folder / SENDER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Sender("", "", datetime.now(UTC).isoformat())


def _write_through(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Put a folder's entries on disk, so that a new name survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
