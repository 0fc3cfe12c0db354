"""What training patients measured, so that a worker can tell who is unlike them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """From where to where the training patients reach, but for the few at either end."""

    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse a range that nothing lies in."""
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"a range reaches from a number to one that is no smaller: {self}")


@dataclass(frozen=True)
class Measured:
    """A section of the card's `training`, under `measured`.

    Attributes
    ----------
    scans
        How many were measured.
    ranges
        By name of a measure of `worker.look.unlikeness`.
    bar
        A series is called unlike the training data above it.
    scans_above
        How many of the training scans lie above, each held against the ranges of the others.
    """

    scans: int
    ranges: Mapping[str, Range]
    bar: float
    scans_above: int

    def __post_init__(self) -> None:
        """Refuse a bar that nothing can be held against."""
        if not (math.isfinite(self.bar) and self.bar >= 0):
            raise ValueError(f"the bar is a score, 0 or more: {self.bar}")
