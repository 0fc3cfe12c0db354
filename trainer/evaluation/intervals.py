"""95 % intervals by bootstrap over patients: slices of one head are no independent witnesses."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000


def bootstrap(
    patients: int, figures: Callable[[npt.NDArray[np.intp]], dict[str, float]], seed: int = 0
) -> dict[str, list[float]]:
    """95 % interval of each figure over patients drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [figures(rng.integers(0, patients, patients)) for _ in range(RESAMPLES)]
    found = {}
    for name in drawn[0]:
        values = np.array([one[name] for one in drawn])
        values = values[~np.isnan(values)]
        found[name] = np.quantile(values, [0.025, 0.975]).tolist() if len(values) else []
    return found
