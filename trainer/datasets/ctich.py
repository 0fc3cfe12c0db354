"""Read a CT-ICH folder of either layout: 1.0.0's JPGs or 1.3.1's NIfTI volumes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets import jpg, nifti
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
    "is_layout",
    "read_hu",
    "read_mask",
    "read_release",
]


def is_layout(data: Path) -> bool:
    """Whether a folder holds either layout, or any of its parts."""
    return nifti.is_layout(data) or any(
        (data / name).exists() for name in (jpg.TABLE, "Patients_CT")
    )


def read_release(data: Path) -> Release:
    """Index a CT-ICH folder without decoding a picture.

    Raises
    ------
    DataError
        No label table or no patients.
    """
    return nifti.read_release(data) if nifti.is_layout(data) else jpg.read_release(data)


def read_hu(ct_slice: Slice) -> npt.NDArray[np.float32]:
    """HU of one slice (row, column)."""
    return jpg.read_hu(ct_slice) if ct_slice.plane is None else nifti.read_hu(ct_slice)


def read_mask(ct_slice: Slice) -> npt.NDArray[np.bool_]:
    """Blood of any type in one slice (row, column); all False where the release has no mask."""
    return jpg.read_mask(ct_slice) if ct_slice.plane is None else nifti.read_mask(ct_slice)
