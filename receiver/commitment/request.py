"""What a storage commitment request asks (PS3.4 annex J): from the network, and from the disk."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.filereader import read_dataset
from pydicom.uid import UID

from receiver.protocol.identity import require_uid
from schema.errors import UnreadableObjectError

MAX_REFERENCES: Final = 50_000


@dataclass(frozen=True)
class Reference:
    """An object by its class and instance."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class CommitmentRequest:
    """What a caller wants to be sure of before it deletes its own copy."""

    transaction_uid: str
    references: tuple[Reference, ...]

    def __post_init__(self) -> None:
        """Refuse what is no UID, and a request about nothing."""
        require_uid("Transaction UID", self.transaction_uid)
        if not 0 < len(self.references) <= MAX_REFERENCES:
            raise UnreadableObjectError(
                f"{len(self.references)} referenced objects, not 1 to {MAX_REFERENCES}"
            )
        for reference in self.references:
            require_uid("Referenced SOP Class UID", reference.sop_class_uid)
            require_uid("Referenced SOP Instance UID", reference.sop_instance_uid)


@dataclass(frozen=True)
class StoredRequest:
    """A request as it lies on disk; what it names are UIDs, never a patient."""

    calling_ae: str
    request: CommitmentRequest


def read_request(encoded: bytes, transfer_syntax_uid: str) -> CommitmentRequest:
    """Read the Action Information of an N-ACTION request (PS3.4 table J.3-1).

    Raises
    ------
    UnreadableObjectError
        If it is no dataset, or lacks an attribute.
    """
    syntax = UID(transfer_syntax_uid)
    try:
        ds = read_dataset(BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian)
        references = tuple(
            Reference(str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
            for item in ds.ReferencedSOPSequence
        )
        return CommitmentRequest(str(ds.TransactionUID), references)
    except UnreadableObjectError:
        raise
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        raise UnreadableObjectError(f"request cannot be read: {type(error).__name__}") from error


def load_request(path: Path) -> StoredRequest:
    """Read a request back.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file is none.
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    references = tuple(Reference(**reference) for reference in stored["request"]["references"])
    request = CommitmentRequest(stored["request"]["transaction_uid"], references)
    return StoredRequest(stored["calling_ae"], request)
