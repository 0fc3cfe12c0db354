"""Average thin slices to the thickness that the network learned on.

Each source slice gets one averaged slice at its own position: the stack keeps its length and its
geometry, and nothing is resampled along z.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

NEGLIGIBLE = 0.02  # keeps a 5 mm series untouched when its positions carry rounding


def extents(positions_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Lower and upper end of each slice: half-way to its neighbours, (slice, 2) in mm."""
    positions = np.asarray(positions_mm, np.float64)
    if positions.ndim != 1 or not np.all(np.isfinite(positions)):
        raise ValueError("slice positions must be one finite number in mm for each slice")
    if np.any(np.diff(positions) <= 0):
        raise ValueError("slice positions must rise: sort the slices and drop the doubled ones")
    if len(positions) == 1:
        return np.array([[-np.inf, np.inf]])
    middles = (positions[1:] + positions[:-1]) / 2
    first = 2 * positions[0] - middles[0]
    last = 2 * positions[-1] - middles[-1]
    edges = np.concatenate(([first], middles, [last]))
    return np.stack((edges[:-1], edges[1:]), axis=1)


def slab_weights(
    positions_mm: npt.NDArray[np.floating], slab_mm: float
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]]:
    """For each slice, which slices fall within +- slab/2 of it, and how much of each.

    Returns
    -------
    list of (indices, weights)
        Weights are proportional to the overlap in mm and add up to 1.
    """
    slices = extents(positions_mm)
    found = []
    for position in np.asarray(positions_mm, np.float64):
        low, high = position - slab_mm / 2, position + slab_mm / 2
        overlap = np.minimum(slices[:, 1], high) - np.maximum(slices[:, 0], low)
        share = np.maximum(overlap, 0) / np.maximum(overlap, 0).sum()
        indices = np.flatnonzero(share > NEGLIGIBLE)
        found.append((indices, share[indices] / share[indices].sum()))
    return found


def slabs(
    hu: npt.NDArray[np.floating], positions_mm: npt.NDArray[np.floating], slab_mm: float
) -> Iterator[npt.NDArray[np.floating]]:
    """Yield one averaged frame (row, column) for each source slice, in HU.

    Parameters
    ----------
    hu
        (slice, row, column) HU, sorted along the normal.
    positions_mm
        (slice,) rising positions along the normal.
    slab_mm
        Thickness to average to; a slice that is thicker already passes unchanged.
    """
    if len(hu) != len(positions_mm):
        raise ValueError(f"{len(hu)} slices came with {len(positions_mm)} positions")
    for indices, weights in slab_weights(positions_mm, slab_mm):
        if len(indices) == 1:
            yield hu[indices[0]]
        else:
            yield np.einsum("s,src->rc", weights.astype(np.float32), hu[indices])
