import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from receiver.commitment.request import CommitmentRequest, Reference, read_request
from receiver.commitment.result import EventType, FailureReason, commit, event_information
from schema.errors import UnreadableObjectError

CT = Reference(CTImageStorage, "1.2.3.1")
LOST = Reference(CTImageStorage, "1.2.3.2")
MISNAMED = Reference(SecondaryCaptureImageStorage, "1.2.3.1")


def test_what_is_held_under_its_class_is_committed() -> None:
    report = commit(CommitmentRequest("1.2.9", (CT,)), {"1.2.3.1": [CTImageStorage]})
    assert (report.committed, report.failed) == ((CT,), ())
    assert report.event_type == EventType.SUCCESSFUL


def test_what_is_not_held_fails_with_the_standards_reasons() -> None:
    request = CommitmentRequest("1.2.9", (CT, LOST, MISNAMED))
    report = commit(request, {"1.2.3.1": [CTImageStorage]})
    assert report.failed == (
        (LOST, FailureReason.NO_SUCH_OBJECT_INSTANCE),
        (MISNAMED, FailureReason.CLASS_INSTANCE_CONFLICT),
    )
    assert report.event_type == EventType.FAILURES_EXIST


def test_an_event_lists_what_is_committed_and_what_failed() -> None:
    report = commit(CommitmentRequest("1.2.9", (CT, LOST)), {"1.2.3.1": [CTImageStorage]})
    event = event_information(report)
    assert event.TransactionUID == "1.2.9"
    assert [item.ReferencedSOPInstanceUID for item in event.ReferencedSOPSequence] == ["1.2.3.1"]
    assert [item.FailureReason for item in event.FailedSOPSequence] == [0x0112]


def test_an_event_without_failures_has_no_failed_sequence() -> None:
    report = commit(CommitmentRequest("1.2.9", (CT,)), {"1.2.3.1": [CTImageStorage]})
    assert "FailedSOPSequence" not in event_information(report)


@pytest.mark.parametrize(
    ("transaction_uid", "uids"),
    [("1.2.9", []), ("../9", ["1.2"]), ("1.2.9", ["1.2/../x"]), ("", ["1.2"])],
)
def test_a_request_without_objects_or_with_paths_for_uids_is_refused(
    transaction_uid: str, uids: list[str]
) -> None:
    with pytest.raises(UnreadableObjectError):
        CommitmentRequest(transaction_uid, tuple(Reference(CTImageStorage, uid) for uid in uids))


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(200)])
def test_what_is_no_request_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableObjectError):
        read_request(content, ExplicitVRLittleEndian)
