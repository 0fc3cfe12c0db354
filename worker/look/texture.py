"""How a series was made, by its noise: soft or sharp kernel, how thick its slices really are."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from worker.look.section import Mask

FINE_MM: Final = 1.5  # noise of a sharp kernel changes within this
COARSE_MM: Final = 6.0  # and of a soft one within this
MAD: Final = 1.4826  # from the median of absolute values to a standard deviation
SHARP_SHARE: Final = 0.85  # of the noise is fine
SHARP_HU: Final = 15.0
SOFT_SHARE: Final = 0.75
LEAST_PIXELS: Final = 2000
LEAST_SHARED: Final = 0.15  # of the noise of two neighbours: less is chance or anatomy


class Kernel(StrEnum):
    """What the noise says of the reconstruction's kernel."""

    SOFT = "SOFT"
    SHARP = "SHARP"
    DOUBTFUL = "DOUBTFUL"


@dataclass(frozen=True)
class Texture:
    """Noise in the brain.

    Attributes
    ----------
    kernel
        Sharp kernels leave strong noise that changes from pixel to pixel.
    noise_hu
        Standard deviation within COARSE_MM.
    fine_share
        How much of it changes within FINE_MM.
    thickness_mm
        Of slices that overlap, by the noise that neighbours share; None where they share none, so
        that they are no thicker than their step.
    """

    kernel: Kernel
    noise_hu: float
    fine_share: float
    thickness_mm: float | None


def texture_of(
    pairs: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]],
    brain: Sequence[Mask],
    spacing_mm: tuple[float, float],
    step_mm: float,
) -> Texture | None:
    """Read the noise of neighbouring slices in their brain; None where there is too little brain.

    Parameters
    ----------
    pairs
        (row, column) HU of slices and of their neighbours above.
    brain
        (row, column) deep brain of each pair's lower slice.
    step_mm
        Distance of neighbours.
    """
    fine, coarse, shared = [], [], []
    for (frame, above), mask in zip(pairs, brain, strict=True):
        if np.count_nonzero(mask) < LEAST_PIXELS:
            continue
        rough, neighbour = (
            _residual(frame, COARSE_MM, spacing_mm),
            _residual(above, COARSE_MM, spacing_mm),
        )
        fine.append(_spread(_residual(frame, FINE_MM, spacing_mm)[mask]))
        coarse.append(_spread(rough[mask]))
        shared.append(_shared(rough[mask], neighbour[mask]))
    if not coarse or np.median(coarse) == 0:
        return None
    noise = float(np.median(coarse))
    share = min(1.0, float(np.median(fine)) / noise)
    return Texture(
        _kernel(noise, share), noise, share, _thickness_mm(float(np.median(shared)), step_mm)
    )


def _residual(
    frame: npt.NDArray[np.float32], width_mm: float, spacing_mm: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Return what is left of a slice without its mean over a square."""
    rows, columns = (max(3, 2 * round(width_mm / mm / 2) + 1) for mm in spacing_mm)
    return np.asarray(frame - cv2.blur(frame, (columns, rows)), np.float32)


def _spread(values: npt.NDArray[np.float32]) -> float:
    return float(np.median(np.abs(values))) * MAD


def _shared(first: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Correlation, with what is no noise (a vessel, a sulcus, calcium) cut off."""
    limit, other_limit = 2.5 * _spread(first), 2.5 * _spread(other)
    inner = (np.abs(first) < limit) & (np.abs(other) < other_limit)
    if np.count_nonzero(inner) < LEAST_PIXELS:
        return 0.0
    return float(np.nan_to_num(np.corrcoef(first[inner], other[inner])[0, 1]))


def _kernel(noise_hu: float, fine_share: float) -> Kernel:
    if fine_share >= SHARP_SHARE and noise_hu >= SHARP_HU:
        return Kernel.SHARP
    return Kernel.SOFT if fine_share <= SOFT_SHARE or noise_hu < SHARP_HU else Kernel.DOUBTFUL


def _thickness_mm(shared: float, step_mm: float) -> float | None:
    """Two slices of thickness t at a distance d share 1 - d / t of their noise."""
    return step_mm / (1 - min(shared, 0.95)) if shared >= LEAST_SHARED else None
