"""The site's own predictive values, from what readers said, with exact intervals."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from schema.states import Outcome
from worklist.acknowledgement import GivenVerdict

CONFIDENCE = 0.95
STEPS = 60  # of bisection: far below a float's last digit


@dataclass(frozen=True)
class Proportion:
    """So many of so many, with the exact (Clopper-Pearson) interval of 95 %."""

    hits: int
    of: int
    value: float | None
    low: float
    high: float


@dataclass(frozen=True)
class SitePerformance:
    """What readers said, summed up; the newest verdict of a study counts.

    Attributes
    ----------
    left_open
        Studies whose verdict does not say whether there is a bleed; they are in no value.
    positive_predictive_value
        Bleeds among results that said POSITIVE.
    negative_predictive_value
        Heads without a bleed among results that said NEGATIVE.
    indeterminate_with_bleed
        Bleeds among results that said INDETERMINATE.
    causes
        How often each cause was given.
    """

    studies: int
    left_open: int
    positive_predictive_value: Proportion
    negative_predictive_value: Proportion
    indeterminate_with_bleed: Proportion
    causes: dict[str, int]


def sum_up(verdicts: Iterable[GivenVerdict]) -> SitePerformance:
    """Sum up verdicts, oldest first."""
    newest = {verdict.study_instance_uid: verdict for verdict in verdicts}
    by_outcome: dict[Outcome | None, list[GivenVerdict]] = {}
    for verdict in newest.values():
        by_outcome.setdefault(verdict.outcome, []).append(verdict)
    causes = [str(verdict.cause) for verdict in newest.values() if verdict.cause]
    return SitePerformance(
        studies=len(newest),
        left_open=sum(verdict.bleeds is None for verdict in newest.values()),
        positive_predictive_value=_share(by_outcome.get(Outcome.POSITIVE, []), bleeds=True),
        negative_predictive_value=_share(by_outcome.get(Outcome.NEGATIVE, []), bleeds=False),
        indeterminate_with_bleed=_share(by_outcome.get(Outcome.INDETERMINATE, []), bleeds=True),
        causes={cause: causes.count(cause) for cause in sorted(set(causes))},
    )


def exact_interval(hits: int, of: int) -> tuple[float, float]:
    """Give the Clopper-Pearson interval of a proportion (Biometrika 1934;26:404)."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if hits == 0 else _solve(lambda p: _at_least(hits, of, p) - tail)
    high = 1.0 if hits == of else _solve(lambda p: tail - (1 - _at_least(hits + 1, of, p)))
    return low, high


def _share(verdicts: list[GivenVerdict], *, bleeds: bool) -> Proportion:
    decided = [verdict for verdict in verdicts if verdict.bleeds is not None]
    hits, of = sum(verdict.bleeds is bleeds for verdict in decided), len(decided)
    low, high = exact_interval(hits, of)
    return Proportion(hits, of, hits / of if of else None, low, high)


def _solve(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def _at_least(hits: int, of: int, p: float) -> float:
    """Give the probability of that many hits or more."""
    if p in (0.0, 1.0):
        return p if hits else 1.0
    terms = (
        math.lgamma(of + 1)
        - math.lgamma(k + 1)
        - math.lgamma(of - k + 1)
        + k * math.log(p)
        + (of - k) * math.log1p(-p)
        for k in range(hits, of + 1)
    )
    return min(1.0, math.fsum(map(math.exp, terms)))
