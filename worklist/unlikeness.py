"""How unlike the model's training data the images are, as the worker stored it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unlikeness:
    """A score above its bar: the model was trained on few images like these, or none.

    Attributes
    ----------
    score, bar
        How far outside the training data's ranges, and above which score that is said.
    named
        What is furthest out.
    words
        The same with its value and the training data's range.
    """

    score: float
    bar: float
    named: str
    words: str


def make_unlikeness(look: Mapping[str, Any] | None) -> Unlikeness | None:
    """Read what is stored with a look; None if it is not high or was not measured."""
    stored = (look or {}).get("unlike")
    try:
        if not stored or not stored["is_high"]:
            return None
        score, bar = float(stored["score"]), float(stored["bar"])
        read = Unlikeness(score, bar, str(stored["named"]), str(stored["words"]))
    except (TypeError, KeyError, ValueError):
        return None
    return read if math.isfinite(score) and math.isfinite(bar) else None


def unlike_training(unlike: Unlikeness | None) -> str:
    """Say it in a few words; nothing where there is nothing to say."""
    return "" if unlike is None else f"unlike the training data: {unlike.named}"
