"""The DIMSE statuses that we answer, and which error becomes which."""

import traceback
from enum import IntEnum
from pathlib import Path

from schema.errors import PermanentError, StorageFullError, TriageError, UnreadableObjectError


class IdentityMismatchError(UnreadableObjectError):
    """The dataset's UIDs are not those of the C-STORE request that carried it."""


class SopClassNotSupportedError(PermanentError):
    """The request names another SOP class than the presentation context that carried it."""


class Status(IntEnum):
    """Status (0000,0900) of a response (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.16
    NO_SUCH_SOP_INSTANCE = 0x0112  # PS3.7 section 10.1.4.1.10, as the four below
    INVALID_ARGUMENT_VALUE = 0x0115
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.6
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORIZED = 0x0124
    UNRECOGNIZED_OPERATION = 0x0211  # PS3.7 C.5.11
    RESOURCE_LIMITATION = 0x0213
    OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3: the sender keeps its copy and may retry
    DATASET_DOES_NOT_MATCH = 0xA900  # PS3.4 B.2.3
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3


def describe(error: Exception) -> str:
    """Say for the log what went wrong; an error that is not ours may quote what it read."""
    if isinstance(error, TriageError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]]
    return " < ".join([type(error).__name__, *reversed(places)])


def status_of(error: Exception) -> Status:
    """Give the status that tells the sender what became of its object; nothing was kept."""
    match error:
        case StorageFullError():
            return Status.OUT_OF_RESOURCES
        case IdentityMismatchError():
            return Status.DATASET_DOES_NOT_MATCH
        case SopClassNotSupportedError():
            return Status.SOP_CLASS_NOT_SUPPORTED
        case UnreadableObjectError():
            return Status.CANNOT_UNDERSTAND
        case _:
            return Status.PROCESSING_FAILURE
