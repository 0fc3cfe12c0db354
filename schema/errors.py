"""Errors in three families: a fault of the study, of this worker, or of what surrounds it.

The docstring of each class is what an operator reads in the log and on the page.
"""

import traceback
from pathlib import Path


class TriageError(Exception):
    """Something in the triage system went wrong."""

    def __init__(self, message: str = "", *, detail: str = "") -> None:
        # Of a study's fault, a radiologist reads the message; its detail is for the log.
        super().__init__(message)
        self.detail = detail or message


class TransientError(TriageError):
    """A fault of the surroundings, gone in a while: the job waits, and no attempt is counted."""


class PermanentError(TriageError):
    """A fault of the study: another try would fail the same way, so it ends with the reason."""


class WorkerError(TriageError):
    """A fault of this program on this host: no study is to blame; it stops and says what to do."""


class SettingsError(WorkerError):
    """A setting is missing, unknown or out of range; the program stops at once."""


class DatabaseUnavailableError(TransientError):
    """The database does not answer or lacks the newest migration."""


class BrokerUnavailableError(TransientError):
    """Redis does not answer; messages are sent again until it does."""


class StorageFullError(TransientError):
    """The storage has less free space than the watermark; the sender keeps its copy."""


class StorageAwayError(TransientError):
    """The storage is not mounted here or does not answer; work goes on when it is back."""


class SourceFileMissingError(TransientError):
    """A received file is not (yet) where the catalogue says, perhaps an unmounted volume."""


class DecoderKilledError(TransientError):
    """The process that decodes was killed from outside; it costs an attempt, for a file may be why.

    The kernel kills it too where a file takes more memory than the host has left.
    """


class ModelError(WorkerError):
    """The checkpoint is missing, damaged or has no such operating point."""


class DeviceUnavailableError(WorkerError):
    """The device of TRIAGE_DEVICE is not there, or has no memory left."""


class UnreadableObjectError(PermanentError):
    """A received object is no DICOM that this system can read."""


class UnsuitableSeriesError(PermanentError):
    """The series is not one that the model may read; the study is not analysed."""


class GeometryError(UnsuitableSeriesError):
    """The slices do not form a stack: duplicated, missing or non-finite positions."""


class PixelError(UnsuitableSeriesError):
    """The pixels of a slice cannot be decoded or are not Hounsfield units."""


class LeaseLostError(TriageError):
    """Another worker took this job over; this one's result is dropped."""


class IllegalMoveError(TriageError):
    """A state was asked to move where the table of moves does not lead."""


def describe(error: Exception) -> str:
    """Say for the log what went wrong; an error that is not ours may quote what it read."""
    if isinstance(error, TriageError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames[-3:]]
    return " < ".join([type(error).__name__, *reversed(places)])
