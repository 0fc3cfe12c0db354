"""Read a CT-ICH folder of either layout: 1.0.0's JPGs or 1.3.1's NIfTI volumes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets import jpg, nifti
from trainer.datasets.jpg import hounsfield
from trainer.datasets.slices import (
    PUBLISHED_SPACING_MM,
    SLICE_INTERVAL_MM,
    DataError,
    Release,
    Slice,
)

__all__ = [
    "PUBLISHED_SPACING_MM",
    "SLICE_INTERVAL_MM",
    "DataError",
    "Release",
    "Slice",
    "hounsfield",
    "read_hu",
    "read_mask",
    "read_release",
    "read_series",
]


def read_release(data: Path) -> Release:
    """Index a CT-ICH folder without decoding a picture.

    Raises
    ------
    DataError
        No label table or no patients.
    """
    return nifti.read_release(data) if nifti.is_layout(data) else jpg.read_release(data)


def read_hu(one: Slice) -> npt.NDArray[np.float32]:
    """HU of one slice (row, column)."""
    return jpg.read_hu(one) if one.plane is None else nifti.read_hu(one)


def read_mask(one: Slice) -> npt.NDArray[np.bool_]:
    """Blood of any type in one slice (row, column); all False where the release has no mask."""
    return jpg.read_mask(one) if one.plane is None else nifti.read_mask(one)


def read_series(
    slices: Sequence[Slice],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """One patient as the worker would get it: HU (slice, row, column) and positions in mm."""
    hu = np.stack([read_hu(one) for one in slices])
    return hu, np.array([one.position_mm for one in slices])
