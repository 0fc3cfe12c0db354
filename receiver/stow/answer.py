"""STOW-RS (PS3.18 section 10.5) as values alone: what a request must be, and how it is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hmac import compare_digest
from http import HTTPStatus
from typing import Any, Final

from pydicom.dataset import Dataset
from python_multipart.multipart import parse_options_header

from receiver.commitment.request import Reference
from receiver.protocol.failure_statuses import SopClassNotSupportedError, status_of
from schema.dicom import DimseStatus
from schema.errors import PermanentError

MULTIPART: Final = b"multipart/related"
DICOM: Final = b"application/dicom"
DICOM_JSON: Final = "application/dicom+json"
ANY_MEDIA_TYPE: Final = ("*/*", "application/*", "application/json", DICOM_JSON)


class TransferSyntaxNotSupportedError(PermanentError):
    """An object is encoded in a transfer syntax that this system does not take."""


class StowFailure(IntEnum):
    """Failure Reason (0008,1197) of PS3.18 table I.2-2 that is no status of C-STORE."""

    TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122


class RefusedRequestError(PermanentError):
    """A request that is answered with an HTTP status before any object of it is kept."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class StoreResult:
    """What became of one part of a request.

    Attributes
    ----------
    reference
        Its SOP class and instance; None if they cannot be told.
    failure
        None if the object is safe on disk.
    """

    reference: Reference | None
    failure: int | None = None


def is_authorised(header: str | None, token: str) -> bool:
    """Say whether an Authorization header bears the token, in the same time whatever it says."""
    scheme, _, given = (header or "").partition(" ")
    return compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def boundary_of(content_type: str | None) -> bytes:
    """Give the boundary of a multipart/related request of DICOM objects (PS3.18 section 8.6.1).

    Raises
    ------
    RefusedRequestError
        415 for another media type, 400 for one without a boundary.
    """
    media_type, options = parse_options_header(content_type or "")
    if media_type != MULTIPART or options.get(b"type", DICOM).lower() != DICOM:
        raise RefusedRequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            'send multipart/related; type="application/dicom"',
        )
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= 70:  # RFC 2046 section 5.1.1
        raise RefusedRequestError(HTTPStatus.BAD_REQUEST, "Content-Type has no boundary")
    return boundary


def accepts_json(accept: str | None) -> bool:
    """Say whether the caller takes the one media type of our answers."""
    types = [
        media_type.partition(";")[0].strip().lower() for media_type in (accept or "*/*").split(",")
    ]
    return any(media_type in ANY_MEDIA_TYPE for media_type in types)


def failure_reason(error: Exception) -> int:
    """Give the Failure Reason that tells the caller what became of its object."""
    match error:
        case TransferSyntaxNotSupportedError():
            return StowFailure.TRANSFER_SYNTAX_NOT_SUPPORTED
        case SopClassNotSupportedError():
            return DimseStatus.SOP_CLASS_NOT_SUPPORTED
        case _:
            return status_of(error)


def http_status(results: Sequence[StoreResult]) -> HTTPStatus:
    """Sum up a request (PS3.18 table 10.5.3-1): 200 all stored, 202 some, 409 none."""
    failures = sum(result.failure is not None for result in results)
    if not results:
        return HTTPStatus.BAD_REQUEST
    if failures == 0:
        return HTTPStatus.OK
    return HTTPStatus.CONFLICT if failures == len(results) else HTTPStatus.ACCEPTED


def answer(results: Sequence[StoreResult]) -> dict[str, Any]:
    """Write the Store Instances Response Module (PS3.18 annex I) as DICOM JSON."""
    ds = Dataset()
    ds.RetrieveURL = ""
    stored = [_item(result) for result in results if result.failure is None]
    failed = [
        _item(result) for result in results if result.failure is not None and result.reference
    ]
    others = [
        _item(result) for result in results if result.failure is not None and not result.reference
    ]
    if stored:
        ds.ReferencedSOPSequence = stored
    if failed:
        ds.FailedSOPSequence = failed
    if others:
        ds.OtherFailuresSequence = others
    return ds.to_json_dict()


def _item(result: StoreResult) -> Dataset:
    ds = Dataset()
    if result.reference is not None:
        ds.ReferencedSOPClassUID = result.reference.sop_class_uid
        ds.ReferencedSOPInstanceUID = result.reference.sop_instance_uid
    if result.failure is None:
        ds.RetrieveURL = ""
    else:
        ds.FailureReason = int(result.failure)
    return ds
