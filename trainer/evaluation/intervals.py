"""95 % intervals over people: slices, or scans, of one person are no independent witnesses.

Shares of people have the exact interval of Clopper and Pearson. Everything else is drawn again
from the people; where every draw gives the same, it has no interval: it tells nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from trainer.datasets.people import rows_of_people

RESAMPLES = 2000
FEWEST = 5  # people of a kind: draws of fewer tell little of the next one


def bootstrap(
    patients: Sequence[int],
    figures: Callable[[npt.NDArray[np.intp]], dict[str, float]],
    seed: int = 0,
) -> dict[str, list[float]]:
    """95 % interval of each figure over people drawn with replacement, each with all their scans.

    Parameters
    ----------
    patients
        Of each row; two scans of one person have two numbers (`people.person`).
    figures
        Given rows.
    """
    rng = np.random.default_rng(seed)
    people = [np.array(rows, np.intp) for rows in rows_of_people(patients)]

    def draw() -> npt.NDArray[np.intp]:
        return np.concatenate([people[one] for one in rng.integers(0, len(people), len(people))])

    drawn = [figures(draw()) for _ in range(RESAMPLES)]
    found = {}
    for name in drawn[0]:
        values = np.array([sample[name] for sample in drawn])
        values = values[~np.isnan(values)]
        found[name] = _ends(values)
    return found


def without(intervals: Mapping[str, list[float]], names: Iterable[str]) -> dict[str, list[float]]:
    """Return intervals in which these figures have none."""
    return dict(intervals) | {name: [] for name in intervals.keys() & set(names)}


def _ends(values: npt.NDArray[np.float64]) -> list[float]:
    """Return the middle 95 %, or nothing where they are one number."""
    if not len(values) or np.ptp(values) == 0:
        return []
    return np.asarray(np.quantile(values, [0.025, 0.975])).tolist()  # type: ignore[no-any-return]


def exact(hits: int, cases: int) -> list[float]:
    """95 % interval of a share of independent cases (Clopper and Pearson 1934)."""
    if not cases:
        return []
    low = float(beta.ppf(0.025, hits, cases - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, cases - hits)) if hits < cases else 1.0
    return [low, high]


def counts(
    truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]
) -> dict[str, tuple[int, int]]:
    """How many of each kind were called right, and how many there are."""
    return {
        "sensitivity": (int((truth & called).sum()), int(truth.sum())),
        "specificity": (int((~truth & ~called).sum()), int((~truth).sum())),
    }


def shares(truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> dict[str, list[float]]:
    """Exact intervals of sensitivity and specificity over patients."""
    return {name: exact(*pair) for name, pair in counts(truth, called).items()}
