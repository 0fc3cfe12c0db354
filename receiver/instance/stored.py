"""A stored file, read as far as its row in the catalogue needs: header, content hash, place."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from receiver.inbox import OBJECT_SUFFIX, priority_of
from receiver.instance.header import Header, read_header
from receiver.instance.pixels import require_end
from receiver.protocol.file_meta import read_seal
from schema.dicom import DimsePriority

STORE: Final = "received"
DIGEST_IN_NAME: Final = 16  # letters


@dataclass(frozen=True)
class StoredObject:
    """An object that has a file and may need a row.

    Attributes
    ----------
    association
        Name of the association that delivered it; None where that is not known any more.
    sha256
        Of the dataset alone: the file meta names who wrote the file, which is not content.
    stored_at
        When the file got its last byte, just before its sender heard that it is safe.
    priority
        With which it was sent; known until it has its place in the store.
    """

    path: Path
    association: str | None
    header: Header
    size_bytes: int
    sha256: str
    stored_at: datetime
    priority: DimsePriority = DimsePriority.MEDIUM

    @property
    def place(self) -> str:
        """Its place in the storage, named by hashes; no name comes from the network."""
        identity = self.header.identity
        series = _name(identity.series_instance_uid)
        instance = _name(identity.sop_instance_uid)
        file = f"{instance}-{self.sha256[:DIGEST_IN_NAME]}{OBJECT_SUFFIX}"
        return f"{study_place(identity.study_instance_uid)}/{series}/{file}"


def read_stored(path: Path, association: str | None) -> StoredObject:
    """Read a file of the inbox or the store.

    Raises
    ------
    UnreadableObjectError
        If it is no DICOM file, lacks one of its UIDs, or has an element in the wrong place.
    OSError
        If it cannot be read now.
    """
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        digest = read_seal(file) or hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        header = read_header(file)
        require_end(file, header.transfer_syntax_uid)
    stored_at = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredObject(
        path, association, header, status.st_size, digest.hex(), stored_at, priority_of(path)
    )


def study_place(study_instance_uid: str) -> str:
    """Give the folder of a study in the storage."""
    study = _name(study_instance_uid)
    return f"{STORE}/{study[:2]}/{study}"


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:32]
