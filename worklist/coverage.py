"""How much of the head was looked at, as the worker stored it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schema.reason_words import PART_SEEN
from schema.shares import WHOLE, percent


@dataclass(frozen=True)
class Gap:
    """A part without slices, in mm along the normal of the slices."""

    from_mm: float
    to_mm: float


@dataclass(frozen=True)
class Coverage:
    """The part of the head that was seen.

    Attributes
    ----------
    from_mm, to_mm
        Where it begins and ends along the normal of the slices.
    share
        Of the head, 0 to 1.
    """

    from_mm: float
    to_mm: float
    share: float
    gaps: tuple[Gap, ...] = ()

    @property
    def is_part(self) -> bool:
        """Whether a reader must be told that the rest was not seen."""
        return self.share < WHOLE or bool(self.gaps)


def make_coverage(stored: Mapping[str, Any] | None) -> Coverage | None:
    """Read the stored object; None if there is none or it is not complete."""
    if stored is None:
        return None
    try:
        gaps = tuple(Gap(float(gap["from_mm"]), float(gap["to_mm"])) for gap in stored["gaps"])
        read = Coverage(
            float(stored["from_mm"]), float(stored["to_mm"]), float(stored["share"]), gaps
        )
    except (TypeError, KeyError, ValueError):
        return None
    return read if math.isfinite(read.share) else None


def part_seen(coverage: Coverage | None, reason: str | None = None) -> str:
    """Say which part was seen, if it was a part; nothing for a whole head or what a reason says."""
    if coverage is None or not coverage.is_part or PART_SEEN in (reason or ""):
        return ""
    words = f"part seen: {percent(coverage.share)} of the head"
    if not coverage.gaps:
        return words
    largest = max(gap.to_mm - gap.from_mm for gap in coverage.gaps)
    count = len(coverage.gaps)
    named = "a gap" if count == 1 else f"{count} gaps, the largest"
    return f"{words}, {named} of {largest:.0f} mm"
