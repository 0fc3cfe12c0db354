"""What a storage commitment result says (PS3.4 J.3.3): what is committed, why the rest failed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pydicom.dataset import Dataset

from receiver.commitment.request import CommitmentRequest, Reference


class EventType(IntEnum):
    """Event Type ID of an N-EVENT-REPORT (PS3.4 J.3.3.1)."""

    SUCCESSFUL = 1
    FAILURES_EXIST = 2


class FailureReason(IntEnum):
    """Failure Reason (0008,1197) of an object that is not committed (PS3.3 C.14.1.1)."""

    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119


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
        ds.ReferencedSOPSequence = [_item(reference) for reference in report.committed]
    if report.failed:
        ds.FailedSOPSequence = [_item(*failure) for failure in report.failed]
    return ds


def _item(reference: Reference, reason: FailureReason | None = None) -> Dataset:
    ds = Dataset()
    ds.ReferencedSOPClassUID = reference.sop_class_uid
    ds.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        ds.FailureReason = int(reason)
    return ds
