"""Which slices an epoch is made of."""

import numpy as np
import numpy.typing as npt

from trainer.config import ConfigError, Sampling
from trainer.datasets.cache import Prepared


def learned(prepared: Prepared, config: Sampling) -> Prepared:
    """Return the slices that a run knows of: all, or as the paper those with blood."""
    return prepared if config.healthy else with_blood(prepared)


def with_blood(prepared: Prepared) -> Prepared:
    """Keep the slices with hemorrhage, each alone: all that the paper trains and tests on."""
    rows = np.flatnonzero(prepared.positive)
    positions, pixels = prepared.positions_mm, prepared.pixels_mm
    return Prepared(
        prepared.patients[rows],
        prepared.numbers[rows],
        prepared.types[rows],
        prepared.pictures[rows],
        prepared.masks[rows],
        np.repeat(np.arange(len(rows))[:, None], 3, axis=1),
        None if positions is None else positions[rows],
        None if pixels is None else pixels[rows],
        {at: prepared.kinds[row] for at, row in enumerate(rows.tolist()) if row in prepared.kinds},
    )


def positive_weights(types: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Weight of each positive slice: the inverse root of its rarest type's frequency.

    Parameters
    ----------
    types
        (slice, 5), at least one type in each row.
    """
    frequency = np.maximum(types.sum(axis=0), 1)
    return np.asarray((types / np.sqrt(frequency)).max(axis=1), np.float64)


def draw(
    prepared: Prepared,
    rows: npt.NDArray[np.intp],
    hardness: npt.NDArray[np.float32],
    config: Sampling,
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    """Draw one epoch's slices from `rows`, in random order.

    Parameters
    ----------
    hardness
        (slice of the whole release,): the network's last "any" probability; only that of healthy
        slices is used.

    Raises
    ------
    ConfigError
        There is no slice to learn from.
    """
    if not len(rows):
        raise ConfigError("no slice to learn from: hold fewer patients out, or give more --data")
    if not config.slices:
        return rng.permutation(rows)
    positive = rows[prepared.positive[rows]]
    healthy = rows[~prepared.positive[rows]]
    wanted = round(config.slices * config.positive_share) if len(healthy) else config.slices
    wanted = wanted if len(positive) else 0
    parts = []
    if wanted:
        weights = positive_weights(prepared.types[positive])
        parts.append(rng.choice(positive, wanted, p=weights / weights.sum()))
    if config.slices > wanted:
        weights = 1 + config.hard_healthy * hardness[healthy].astype(np.float64)
        parts.append(rng.choice(healthy, config.slices - wanted, p=weights / weights.sum()))
    return rng.permutation(np.concatenate(parts))
