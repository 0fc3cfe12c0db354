from http import HTTPStatus
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage

from receiver.commitment.request import Reference
from receiver.inbox import Inbox, folders, was_aborted
from receiver.protocol.failure_statuses import IdentityMismatchError, SopClassNotSupportedError
from receiver.stow.answer import (
    RefusedRequestError,
    StoreResult,
    TransferSyntaxNotSupportedError,
    accepts_json,
    answer,
    boundary_of,
    failure_reason,
    http_status,
    is_authorised,
)
from receiver.stow.parts import StoreRequest
from schema.errors import StorageFullError, UnreadableObjectError
from tests.support.phantoms import FEW_MM, Phantom

TOKEN = "a token of some length"
CT = Reference(CTImageStorage, "1.2.3")
STORED, FAILED, UNKNOWN = StoreResult(CT), StoreResult(CT, 0xA900), StoreResult(None, 0xC000)


@pytest.mark.parametrize(
    ("header", "authorised"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Basic {TOKEN}", False),
        (f"Bearer {TOKEN}x", False),
        ("Bearer", False),
        ("Bearer tökén", False),
        (None, False),
    ],
)
def test_only_the_token_opens(header: str | None, authorised: bool) -> None:
    assert is_authorised(header, TOKEN) == authorised


def test_the_boundary_is_taken_from_the_content_type() -> None:
    said = 'multipart/related; type="application/dicom"; boundary=abc'
    assert boundary_of(said) == b"abc"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("application/dicom", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        ("multipart/form-data; boundary=abc", HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        (
            'multipart/related; type="application/dicom+json"; boundary=abc',
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        ),
        ('multipart/related; type="application/dicom"', HTTPStatus.BAD_REQUEST),
    ],
)
def test_another_media_type_or_no_boundary_is_refused(
    content_type: str | None, status: HTTPStatus
) -> None:
    with pytest.raises(RefusedRequestError) as refused:
        boundary_of(content_type)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("accept", "accepted"),
    [
        (None, True),
        ("*/*", True),
        ("application/dicom+json;q=0.9, text/html", True),
        ("application/dicom+xml", False),
    ],
)
def test_the_answer_is_json_or_none(accept: str | None, accepted: bool) -> None:
    assert accepts_json(accept) == accepted


@pytest.mark.parametrize(
    ("results", "status"),
    [([], 400), ([STORED], 200), ([STORED, FAILED], 202), ([FAILED, UNKNOWN], 409)],
)
def test_the_status_sums_up_the_parts(results: list[StoreResult], status: int) -> None:
    assert http_status(results) == status


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageFullError(), 0xA700),
        (IdentityMismatchError(), 0xA900),
        (UnreadableObjectError(), 0xC000),
        (SopClassNotSupportedError(), 0x0122),
        (TransferSyntaxNotSupportedError(), 0xC122),
        (ZeroDivisionError(), 0x0110),
    ],
)
def test_an_error_becomes_the_standards_failure_reason(error: Exception, reason: int) -> None:
    assert failure_reason(error) == reason


def test_the_answer_lists_stored_failed_and_unknown_objects() -> None:
    content = answer([STORED, FAILED, UNKNOWN])
    (stored,) = content["00081199"]["Value"]
    (failed,) = content["00081198"]["Value"]
    (other,) = content["0008119A"]["Value"]
    assert stored["00081155"]["Value"] == failed["00081155"]["Value"] == ["1.2.3"]
    assert failed["00081197"]["Value"] == [0xA900]
    assert other["00081197"]["Value"] == [0xC000]


def parts(count: int) -> bytes:
    """Encode objects as the parts of a request, without the closing boundary."""
    body = b""
    for ds in Phantom(FEW_MM, size=8).datasets[:count]:
        file = BytesIO()
        ds.save_as(file, enforce_file_format=True)
        body += b"\r\n--b\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue()
    return body


@pytest.mark.parametrize(("end", "failures"), [(b"\r\n--b--", [None, None]), (b"", [None, 0xC000])])
def test_an_object_without_its_closing_boundary_is_answered_as_failed(
    tmp_path: Path, end: bytes, failures: list[int | None]
) -> None:
    request = StoreRequest(Inbox(tmp_path, 0), "127.0.0.1", b"b", None, 10**6)
    request.write(parts(2)[2:] + end)
    request.close(aborted=False)
    assert [result.failure for result in request.results] == failures
    (folder,) = folders(tmp_path)
    assert len(list(folder.glob("*.dcm"))) == failures.count(None)
    assert was_aborted(folder) is bool(failures[-1])
