"""Lay a series out in slices of the thickness and at the step that the network learned on.

Their centres follow from where the head was scanned, not from how it was cut into slices: one scan
gives the network the same slices whether it arrives thin, thick or overlapping. What is found goes
back to every source slice, whose geometry nothing here touches.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from worker.munet.resampled import scanned

NEGLIGIBLE = 0.02  # keeps a 5 mm series untouched when its positions carry rounding
ALIKE = 0.2  # slices thinner by no more than that are as they were learned; mixing would blur
FAR = 1.5  # steps from the nearest slice: there lies a hole in the series, not a slab


class Slabs(NamedTuple):
    """A series as the network sees it."""

    hu: npt.NDArray[np.floating]  # (slab, row, column)
    slice_position_mm: npt.NDArray[np.floating]  # (slab,) rising
    nearest: npt.NDArray[np.intp]  # (source slice,), the slab that speaks for it


def extents(slice_position_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Lower and upper end of each slice: half-way to its neighbours, (slice, 2) in mm."""
    positions = np.asarray(slice_position_mm, np.float64)
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


def reaches(edges_mm: npt.NDArray[np.float64], slab_mm: float) -> npt.NDArray[np.bool_]:
    """Whether each slice reaches about as far as a slab, (slice,)."""
    return np.asarray(np.diff(edges_mm, axis=1)[:, 0] >= (1 - ALIKE) * slab_mm)


def is_thin(slice_position_mm: npt.NDArray[np.floating], slab_mm: float) -> bool:
    """Whether any slice is thinner than a slab, so that others may have been interpolated."""
    return not reaches(extents(slice_position_mm), slab_mm).all()


def centres(edges_mm: npt.NDArray[np.float64], step_mm: float) -> npt.NDArray[np.float64]:
    """Where slabs lie: as many as fit best into what was scanned, centred in it, (slab,) mm."""
    low, high = edges_mm[0, 0], edges_mm[-1, 1]
    count = max(1, round((high - low) / step_mm))
    laid = (low + high) / 2 + (np.arange(count) - (count - 1) / 2) * step_mm
    away = np.abs(np.subtract.outer(laid, edges_mm.mean(axis=1))).min(axis=1)
    return np.asarray(laid[away <= FAR * step_mm], np.float64)


def slab_weights(
    edges_mm: npt.NDArray[np.float64], laid_mm: npt.NDArray[np.floating], slab_mm: float
) -> list[tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]]:
    """For each slab, which slices fall within +- slab/2 of its centre, and how much of each.

    Returns
    -------
    list of (indices, weights)
        Weights are proportional to the overlap in mm and add up to 1.
    """
    found = []
    for position in np.asarray(laid_mm, np.float64):
        low, high = position - slab_mm / 2, position + slab_mm / 2
        overlap = np.minimum(edges_mm[:, 1], high) - np.maximum(edges_mm[:, 0], low)
        share = np.maximum(overlap, 0) / np.maximum(overlap, 0).sum()
        indices = np.flatnonzero(share > NEGLIGIBLE)
        found.append((indices, share[indices] / share[indices].sum()))
    return found


class Mixture(NamedTuple):
    """The slices that one slab is the mean of."""

    indices: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float64]  # add up to 1


def mixtures(
    slice_position_mm: npt.NDArray[np.floating], slab_mm: float
) -> tuple[list[Mixture], npt.NDArray[np.float64]]:
    """Say which slices are averaged to slabs of `slab_mm`, `slab_mm` apart, and where those lie.

    Slices that reach that far or further already stay as they are, beside thin ones too: doubled or
    interpolated slices are nothing that the network has seen, and the mean of two steps up a
    tapering skull looks like blood along it.

    Parameters
    ----------
    slice_position_mm
        (slice,) rising positions along the normal.
    slab_mm
        Thickness and step.
    """
    positions = np.asarray(slice_position_mm, np.float64)
    edges = extents(positions)
    is_thick = reaches(edges, slab_mm)
    if len(positions) == 1 or is_thick.all():
        return _alone(range(len(positions))), positions
    mixed: list[Mixture] = []
    laid: list[npt.NDArray[np.float64]] = []
    for run in _runs(is_thick):
        if is_thick[run.start]:
            mixed += _alone(range(run.start, run.stop))
            laid.append(positions[run])
            continue
        laid.append(centres(edges[run], slab_mm))
        parts = slab_weights(edges[run], laid[-1], slab_mm)
        mixed += [Mixture(indices + run.start, weights) for indices, weights in parts]
    return mixed, np.concatenate(laid)


def slabs(
    hu: npt.NDArray[np.floating], slice_position_mm: npt.NDArray[np.floating], slab_mm: float
) -> Slabs:
    """Average thin slices to slabs of `slab_mm`, `slab_mm` apart (`mixtures`).

    Slices that were interpolated between thicker ones are first brought back to those.

    Parameters
    ----------
    hu
        (slice, row, column) HU, sorted along the normal.
    slice_position_mm
        (slice,) rising positions along the normal.
    """
    positions = np.asarray(slice_position_mm, np.float64)
    if len(hu) != len(positions):
        raise ValueError(f"{len(hu)} slices came with {len(positions)} positions")
    source_mm = positions
    if is_thin(positions, slab_mm) and (thicker := scanned(hu, positions)):
        hu, positions = thicker.hu, thicker.slice_position_mm
    mixed, laid = mixtures(positions, slab_mm)
    nearest = np.abs(np.subtract.outer(source_mm, laid)).argmin(axis=1)
    if [mixture.indices.tolist() for mixture in mixed] == [[index] for index in range(len(hu))]:
        return Slabs(hu, laid, nearest)
    made = np.empty((len(mixed), *hu.shape[1:]), np.float32)
    for index, (indices, weights) in enumerate(mixed):
        np.einsum("s,src->rc", weights.astype(np.float32), hu[indices], out=made[index])
    return Slabs(made, laid, nearest)


def _alone(indices: Iterable[int]) -> list[Mixture]:
    """Leave slices as they are."""
    return [Mixture(np.array([index]), np.ones(1)) for index in indices]


def _runs(is_thick: npt.NDArray[np.bool_]) -> list[slice]:
    """Split slices into runs of thick and of thin ones."""
    ends = [*np.flatnonzero(np.diff(is_thick)) + 1, len(is_thick)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
