"""Find thin slices that were interpolated between thicker ones, and give those back.

A reformatted series of 1.25 mm that came from slices of 5 mm holds no more than those. Each of its
slices is a mixture of two, in which a tenth of the vertex' bone beside brain is as bright as blood,
and averaging mixtures doesn't part them. They can be parted: every voxel follows straight lines
between the slices that were scanned, which no scan of its own does.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

FEWER: Final = 0.7  # of the slices at most; with more of them, any series could be explained
THINNEST_MM: Final = 2.0  # a mixture of thinner ones is no harm: slabs are means of several
THICKEST_MM: Final = 12.0
# Widest first: slices half as far apart would explain a series as well.
USUAL_MM: Final = (10.0, 8.0, 7.5, 7.0, 6.0, 5.0, 4.8, 4.5, 4.0, 3.75, 3.0, 2.5, 2.0)
ENOUGH: Final = 0.2  # of a slice must be in one that is seen, or it can't be told
WINDOW: Final = 40  # slices in the middle that rule most candidates out
ROUNDING_HU: Final = 0.6  # how far numbers lie off the lines that were rounded once or twice
GRAIN_HU: Final = 2.5  # slices that were scanned differ by that at least; made-up ones may not
NEGLIGIBLE: Final = 1e-4  # share of a slice: a third of a HU between air and the densest bone
TISSUE_HU: Final = (0.0, 80.0)
PROBES: Final = 400  # voxels of the frame that are looked at
LEAST_PROBES: Final = 50

Floats = npt.NDArray[np.float64]


class Scanned(NamedTuple):
    """The slices that others were interpolated between."""

    hu: npt.NDArray[np.float32]  # (slice, row, column)
    slice_position_mm: Floats  # (slice,) rising
    shares: npt.NDArray[np.float32]  # (slice, slice of the series), what each is laid back of


def scanned(
    hu: npt.NDArray[np.floating], slice_position_mm: npt.NDArray[np.floating]
) -> Scanned | None:
    """Return the slices that a series was interpolated from; None for a scan of its own.

    Parameters
    ----------
    hu, slice_position_mm
        As `slab.slabs` is given them.
    """
    positions = np.asarray(slice_position_mm, np.float64)
    probes = _probes(hu)
    if probes is None:
        return None
    window = slice(max(0, (len(hu) - WINDOW) // 2), (len(hu) + WINDOW) // 2)
    for knots in candidates(positions):
        if explain(knots, positions[window], probes[window]) and explain(knots, positions, probes):
            back = np.asarray(np.linalg.pinv(lines(positions, knots)))  # (knot, slice)
            return _laid_back(hu, knots, back) if _is_grainy(back @ probes) else None
    return None


def explain(knots_mm: Floats, positions_mm: Floats, probes: Floats) -> bool:
    """Whether straight lines between some knots explain voxels (slice, voxel)."""
    shares = lines(positions_mm, knots_mm)
    shares = shares[:, shares.any(axis=0)]
    found = np.linalg.lstsq(shares, probes, rcond=None)[0]
    return bool(np.sqrt(np.mean((probes - shares @ found) ** 2)) <= ROUNDING_HU)


def candidates(positions_mm: Floats) -> Iterator[Floats]:
    """Positions of evenly spaced slices that a series may come from.

    Resampling keeps the middles of the first and the last slice, or the outer edges, or, at a step
    that does not divide the extent, one end alone; then the distance was a usual one.
    """
    first, last, count = positions_mm[0], positions_mm[-1], len(positions_mm)
    extent, step = last - first, (last - first) / max(count - 1, 1)
    most = int(min(FEWER * count, extent / THINNEST_MM + 1))
    for fewer in range(max(2, int(extent / THICKEST_MM)), most + 1):
        yield np.linspace(first, last, fewer)
        wide = (extent + step) / fewer
        yield first - step / 2 + wide * (np.arange(fewer) + 0.5)
    for usual in USUAL_MM:
        if FEWER * usual > step:
            kept = usual * np.arange(np.ceil(extent / usual - ENOUGH) + 1)
            yield first + kept
            yield (last - kept)[::-1]


def lines(positions_mm: Floats, knots_mm: Floats) -> Floats:
    """Share of each knot in each slice, (slice, knot), constant beyond the ends."""
    return np.stack([np.interp(positions_mm, knots_mm, row) for row in np.eye(len(knots_mm))], 1)


def _probes(hu: npt.NDArray[np.floating]) -> Floats | None:
    """Voxels in the tissue of the middle slices, through all slices, (slice, voxel).

    Those that are no number in some slice can't be on a line and are left out.
    """
    if len(hu) < 3:
        return None
    middle = hu[len(hu) // 3 : 2 * len(hu) // 3 + 1].mean(axis=0)
    places = np.argwhere((middle > TISSUE_HU[0]) & (middle < TISSUE_HU[1]))
    if len(places) < LEAST_PROBES:
        return None
    rows, columns = places[np.linspace(0, len(places) - 1, PROBES).astype(int)].T
    through = np.asarray(hu[:, rows, columns], np.float64)
    through = through[:, np.isfinite(through).all(axis=0)]
    return through if through.shape[1] >= LEAST_PROBES else None


def _is_grainy(found: Floats) -> bool:
    """Whether slices differ as scans do: what is smooth from slice to slice fits any lines."""
    bend = found[2:] - 2 * found[1:-1] + found[:-2]
    return bool(len(bend) and np.median(np.abs(bend)) >= GRAIN_HU)


def _laid_back(hu: npt.NDArray[np.floating], knots_mm: Floats, back: Floats) -> Scanned:
    made = np.empty((len(knots_mm), *hu.shape[1:]), np.float32)
    shares = back.astype(np.float32)
    shares[np.abs(shares) <= NEGLIGIBLE] = 0
    for index, weights in enumerate(shares):
        near = weights != 0
        part = hu[near].astype(np.float32, copy=False)
        np.einsum("s,src->rc", weights[near], part, out=made[index])
    return Scanned(made, knots_mm, shares)
