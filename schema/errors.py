"""Errors in two families: worth another try, or not.

The docstring of each class is what an operator reads in the log and on the page.
"""


class TriageError(Exception):
    """Something in the triage system went wrong."""


class TransientError(TriageError):
    """A try that may succeed later: the job goes back to the queue."""


class PermanentError(TriageError):
    """A try that would fail the same way again: the study ends with the reason."""


class SettingsError(PermanentError):
    """A setting is missing, unknown or out of range; the program stops at once."""


class DatabaseUnavailableError(TransientError):
    """The database does not answer or lacks the newest migration."""


class BrokerUnavailableError(TransientError):
    """Redis does not answer; the sweeper rings again until it does."""


class StorageFullError(TransientError):
    """The storage has less free space than the watermark; the sender keeps its copy."""


class SourceFileMissingError(TransientError):
    """A received file is not (yet) where the catalogue says, perhaps an unmounted volume."""


class UnreadableObjectError(PermanentError):
    """A received object is no DICOM that this system can read."""


class UnsuitableSeriesError(PermanentError):
    """The series is not one that the model may judge; the study is not analysed."""


class GeometryError(UnsuitableSeriesError):
    """The slices do not form a stack: duplicated, missing or non-finite positions."""


class PixelError(UnsuitableSeriesError):
    """The pixels of a slice cannot be decoded or are not Hounsfield units."""


class LeaseLostError(TriageError):
    """Another worker took this job over; this one's result is dropped."""


class IllegalMoveError(TriageError):
    """A state was asked to move where the table of moves does not lead."""
