"""Storage commitment (PS3.4 annex J): what is asked and what is answered, as values alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import UID

from receiver.protocol.identity import require_uid
from schema.errors import UnreadableObjectError

REQUEST_COMMITMENT: Final = 1  # Action Type ID, PS3.4 J.3.2.1
MAX_REFERENCES: Final = 50_000


class EventType(IntEnum):
    """Event Type ID of an N-EVENT-REPORT (PS3.4 J.3.3.1)."""

    SUCCESSFUL = 1
    FAILURES_EXIST = 2


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an object that is not committed (PS3.3 C.14.1.1)."""

    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


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
class CommitmentReport:
    """What is committed, and why the rest is not."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, FailureReason], ...]

    @property
    def event_type(self) -> EventType:
        """Which of the two events it is."""
        return EventType.FAILURES_EXIST if self.failed else EventType.SUCCESSFUL


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


def commit(request: CommitmentRequest, held: Mapping[str, Sequence[str]]) -> CommitmentReport:
    """Commit to what is held.

    Parameters
    ----------
    held
        By SOP Instance UID, the SOP classes under which the instance lies safe on disk.
    """
    committed: list[Reference] = []
    failed: list[tuple[Reference, FailureReason]] = []
    for reference in request.references:
        classes = held.get(reference.sop_instance_uid, ())
        if reference.sop_class_uid in classes:
            committed.append(reference)
        elif classes:
            failed.append((reference, FailureReason.CLASS_INSTANCE_CONFLICT))
        else:
            failed.append((reference, FailureReason.NO_SUCH_OBJECT_INSTANCE))
    return CommitmentReport(request.transaction_uid, tuple(committed), tuple(failed))


def event_information(report: CommitmentReport) -> Dataset:
    """Write the Event Information of an N-EVENT-REPORT (PS3.4 table J.3-2)."""
    ds = Dataset()
    ds.TransactionUID = report.transaction_uid
    if report.committed:
        ds.ReferencedSOPSequence = [_item(one) for one in report.committed]
    if report.failed:
        ds.FailedSOPSequence = [_item(one, reason) for one, reason in report.failed]
    return ds


def _item(reference: Reference, reason: FailureReason | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID = reference.sop_class_uid
    ds.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        ds.FailureReason = int(reason)
    return ds
