"""Why studies were not analysed, in a few words that can be counted: no series, no patient."""

from enum import StrEnum
from typing import Final

from schema.states import UNANALYSED, Outcome


class Cause(StrEnum):
    """What kept a study from being analysed."""

    TWO_PATIENTS = "two patients"
    NO_SERIES = "no suitable series"
    PIXELS = "unsuitable pixels"
    FILE_MISSING = "file missing"
    WORKER_DIED = "worker died"
    TIME_LIMIT = "time limit"
    SOFTWARE = "error in this software"
    UNREADABLE = "unreadable objects"


# By words of the reason; a test holds them against those who write it.
WORDS: Final = (
    ("is missing from the storage", Cause.FILE_MISSING),
    ("the worker died", Cause.WORKER_DIED),
    ("the decoder was killed", Cause.WORKER_DIED),
    ("not done within", Cause.TIME_LIMIT),
    ("with an error in this software", Cause.SOFTWARE),
)


def cause_of(outcome: Outcome, reason: str, *, had_job: bool, mixed: bool) -> Cause | None:
    """Say what kept a study from being analysed; None for one that was.

    Parameters
    ----------
    had_job
        Whether a series of it was selected and looked at.
    mixed
        Whether objects of two patients lie under it.
    """
    if outcome not in UNANALYSED:
        return None
    if mixed:
        return Cause.TWO_PATIENTS
    named = next((cause for words, cause in WORDS if words in reason), None)
    if named is None and outcome is Outcome.NOT_ANALYSED:
        return Cause.PIXELS if had_job else Cause.NO_SERIES
    return named or Cause.UNREADABLE
