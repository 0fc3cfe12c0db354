"""Which error becomes which status."""

import pytest

from receiver.protocol.failure_statuses import (
    IdentityMismatchError,
    SopClassNotSupportedError,
    status_of,
)
from schema.dicom import DimseStatus
from schema.errors import DatabaseUnavailableError, StorageFullError, UnreadableObjectError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageFullError(), 0xA700),
        (IdentityMismatchError(), 0xA900),
        (UnreadableObjectError(), 0xC000),
        (SopClassNotSupportedError(), 0x0122),
        (DatabaseUnavailableError(), 0x0110),
        (OSError(5, "Input/output error"), 0x0110),
        (ValueError(), 0x0110),
    ],
)
def test_an_error_has_its_status(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_no_error_is_a_success_or_a_warning() -> None:
    refusals = [status for status in DimseStatus if status != DimseStatus.SUCCESS]
    assert not [refusal for refusal in refusals if refusal >> 12 == 0xB]
