"""How unlike the training data a series is, by what its pixels measure.

A network knows the scanners, kernels and heads that it learned from, and answers on others with the
same confidence. Its card says within what ranges its training patients measured, so a worker can
say how far outside a series lies, and in what. That is no probability that the result is wrong,
and a series within all ranges may be unlike in what nobody measures.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from worker.look.series_look import Look
from worker.munet.measured import Measured, Range


@dataclass(frozen=True)
class Measure:
    """One thing that is compared.

    Attributes
    ----------
    words, unit, digits
        How a person reads it.
    least_width
        A narrower range counts as this wide: all that was trained on may measure the same, and the
        first difference that can be told is no reason to call a series unlike.
    """

    words: str
    unit: str
    digits: int
    least_width: float

    def of(self, value: float) -> str:
        """Write a value."""
        return f"{value:.{self.digits}f}{self.unit}"

    def within(self, low: float, high: float) -> str:
        """Write a range."""
        ends = dict.fromkeys((f"{low:.{self.digits}f}", f"{high:.{self.digits}f}"))
        return f"{' to '.join(ends)}{self.unit}"


MEASURES: Final[Mapping[str, Measure]] = {
    "noise_hu": Measure("noise", " HU", 1, 1.0),
    "fine_share": Measure("fine share of the noise (kernel)", "", 2, 0.1),
    "step_mm": Measure("distance of slices", " mm", 1, 2.0),
    "brain_hu": Measure("density of brain", " HU", 1, 4.0),
    "skull_hu": Measure("density of skull", " HU", 0, 200.0),
    "brain_cm2": Measure("largest section of brain", " cm2", 0, 20.0),
}


@dataclass(frozen=True)
class Unlikeness:
    """How far outside the training patients' ranges a series lies.

    Attributes
    ----------
    score
        By how many widths of its range the measure that is furthest out lies beyond it; 0 within
        all ranges.
    bar
        What is above it is high.
    measure, value, low, high
        The one that is furthest out, with its range.
    not_measured
        Measures of the card that this series does not have; they count for nothing.
    """

    score: float
    bar: float
    measure: str
    value: float
    low: float
    high: float
    not_measured: tuple[str, ...] = ()

    @property
    def is_high(self) -> bool:
        """Whether a reader of the result is told."""
        return self.score > self.bar

    def __str__(self) -> str:
        """Say of the training data what is furthest from it."""
        if self.score == 0:
            return "nothing that is measured lies outside its ranges"
        measure = MEASURES[self.measure]
        return (
            f"{measure.words} {measure.of(self.value)}, where that has"
            f" {measure.within(self.low, self.high)} (score {self.score:.1f})"
        )

    def to_json(self) -> dict[str, object]:
        """Give the form that job, counters and page agree on."""
        rounded = {
            name: round(value, 3) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }
        words = MEASURES[self.measure].words
        return rounded | {"is_high": self.is_high, "named": words, "words": str(self)}


def measured(look: Look) -> dict[str, float]:
    """Give what of `MEASURES` a series has, by name; what is no number is left out."""
    values = look.to_json()
    found = {name: values.get(name) for name in MEASURES}
    return {
        name: float(value)
        for name, value in found.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def beyond(value: float, span: Range, least_width: float) -> float:
    """Say by how many widths of a range a value lies outside it; 0 within."""
    outside = max(span.low - value, value - span.high, 0.0)
    return outside / max(span.high - span.low, least_width)


def unlikeness(values: Mapping[str, float], training: Measured | None) -> Unlikeness | None:
    """Hold what a series measures against the ranges of the training patients.

    Returns
    -------
    None where the card has no ranges, or nothing of them was measured.
    """
    if training is None:
        return None
    known = [name for name in training.ranges if name in MEASURES and name in values]
    if not known:
        return None
    scores = {
        name: beyond(values[name], training.ranges[name], MEASURES[name].least_width)
        for name in known
    }
    furthest = max(known, key=scores.__getitem__)
    span = training.ranges[furthest]
    missing = tuple(sorted(training.ranges.keys() - set(known)))
    score = scores[furthest]
    return Unlikeness(score, training.bar, furthest, values[furthest], span.low, span.high, missing)
