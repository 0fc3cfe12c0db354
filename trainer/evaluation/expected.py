"""What to expect of the next hundred patients, from patients whom nothing was chosen on.

After k of n were called right, how many of the next m will be follows a beta-binomial distribution
(posterior predictive under Jeffreys' prior). It holds for patients like these, of scanners like
theirs, and for no others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom

from trainer.evaluation.intervals import counts

NEXT = 100
Called = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Expected:
    """How many of a kind were called right, and how many of the next hundred will be."""

    right: int
    cases: int
    median: int
    ci95: tuple[int, int]


def expected(right: int, cases: int) -> Expected:
    """Expect of the next hundred what these many of so many allow."""
    following = betabinom(NEXT, right + 0.5, cases - right + 0.5)
    low, median, high = (int(following.ppf(share)) for share in (0.025, 0.5, 0.975))
    return Expected(right, cases, median, (low, high))


def next_hundred(
    bleeds: Sequence[bool], called: Mapping[str, Sequence[bool]]
) -> dict[str, dict[str, Expected]]:
    """Expect, for each operating point, sensitivity and specificity in the next hundred of a kind.

    Parameters
    ----------
    bleeds
        What is there, a patient.
    called
        What an operating point that was chosen on others called, a patient.
    """
    truth = np.array(bleeds, np.bool_)
    return {name: _of(truth, np.array(calls, np.bool_)) for name, calls in called.items()}


def _of(truth: Called, called: Called) -> dict[str, Expected]:
    return {name: expected(*pair) for name, pair in counts(truth, called).items()}
