"""The DIMSE statuses that we answer, and which error becomes which."""

import traceback
from pathlib import Path

from schema.dicom import DimseStatus
from schema.errors import PermanentError, StorageFullError, TriageError, UnreadableObjectError


class IdentityMismatchError(UnreadableObjectError):
    """The dataset's UIDs are not those of the C-STORE request that carried it."""


class SopClassNotSupportedError(PermanentError):
    """The request names another SOP class than the presentation context that carried it."""


def describe(error: Exception) -> str:
    """Say for the log what went wrong; an error that is not ours may quote what it read."""
    if isinstance(error, TriageError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]]
    return " < ".join([type(error).__name__, *reversed(places)])


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
