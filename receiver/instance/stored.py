"""A stored file, read as far as its row in the catalogue needs: header, content hash, place."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from receiver.inbox import OBJECT_SUFFIX
from receiver.instance.header import Header, read_header
from receiver.protocol.file_meta import read_seal

STORE: Final = "received"


@dataclass(frozen=True)
class StoredObject:
    """An object that has a file and may need a row.

    Attributes
    ----------
    association
        Name of the association that delivered it; None where that is not known any more.
    sha256
        Of the dataset alone: the file meta names who wrote the file, which is not content.
    """

    path: Path
    association: str | None
    header: Header
    size_bytes: int
    sha256: str

    @property
    def place(self) -> str:
        """Its place in the storage, named by hashes; no name comes from the network."""
        identity = self.header.identity
        study = _name(identity.study_instance_uid)
        series = _name(identity.series_instance_uid)
        instance = _name(identity.sop_instance_uid)
        file = f"{instance}-{self.sha256[:16]}{OBJECT_SUFFIX}"
        return f"{STORE}/{study[:2]}/{study}/{series}/{file}"


def read_stored(path: Path, association: str | None) -> StoredObject:
    """Read a file of the inbox or the store.

    Raises
    ------
    UnreadableObjectError
        If it is no DICOM file, or lacks one of its UIDs.
    OSError
        If it cannot be read now.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = read_seal(file) or hashlib.file_digest(file, "sha256").digest()
    return StoredObject(path, association, read_header(path), size, digest.hex())


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:32]
