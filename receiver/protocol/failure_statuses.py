"""Which error becomes which DIMSE status: how a C-STORE fails, a full disk among the reasons."""

from schema.dicom import DimseStatus
from schema.errors import PermanentError, StorageFullError, UnreadableObjectError


class IdentityMismatchError(UnreadableObjectError):
    """The dataset's UIDs are not those of the C-STORE request that carried it."""


class SopClassNotSupportedError(PermanentError):
    """The request names another SOP class than the presentation context that carried it."""


def status_of(error: Exception) -> DimseStatus:
    """Give the status that tells the sender what became of its object; nothing was kept."""
    match error:
        case StorageFullError():
            return DimseStatus.OUT_OF_RESOURCES
        case IdentityMismatchError():
            return DimseStatus.DATASET_DOES_NOT_MATCH
        case SopClassNotSupportedError():
            return DimseStatus.SOP_CLASS_NOT_SUPPORTED
        case UnreadableObjectError():
            return DimseStatus.CANNOT_UNDERSTAND
        case _:
            return DimseStatus.PROCESSING_FAILURE
