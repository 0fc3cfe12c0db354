"""Whether what was analysed is like the model's training data, as its jobs store it."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any


class Likeness(StrEnum):
    """How the images of a study compare with what the model was trained on."""

    LIKE = "like"
    UNLIKE = "unlike"
    NOT_MEASURED = "not measured"


def likeness_of(looks: Iterable[Mapping[str, Any] | None]) -> Likeness:
    """Sum up the looks of a study's analyses: one series above the bar makes it unlike.

    Parameters
    ----------
    looks
        As `worker.results` stores them with a job; a program before them stored no comparison.
    """
    compared = [look["unlike"] for look in looks if look and look.get("unlike")]
    if any(unlike.get("is_high") for unlike in compared):
        return Likeness.UNLIKE
    return Likeness.LIKE if compared else Likeness.NOT_MEASURED
