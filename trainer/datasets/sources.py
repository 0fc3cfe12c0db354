"""Read what `--data` names, whichever of the known layouts it has: one release of all."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainer.datasets import ctich, description, dicom, folder, volumes
from trainer.datasets.slices import (
    PUBLISHED_SPACING_MM,
    SLICE_INTERVAL_MM,
    DataError,
    Release,
    Slice,
    kinds_of,
)

__all__ = [
    "PUBLISHED_SPACING_MM",
    "SLICE_INTERVAL_MM",
    "DataError",
    "Release",
    "Slice",
    "read_hu",
    "read_kinds",
    "read_mask",
    "read_release",
    "read_series",
    "read_types",
]

DICOM = description.Description("DICOM")


def read_release(data: Path | Sequence[Path]) -> Release:
    """Index one folder or several, each of any known layout.

    Raises
    ------
    DataError
        A folder has no known layout, a file is wrong, or patients of two folders collide.
    """
    slices: list[Slice] = []
    problems: list[str] = []
    scans: list[volumes.Scan] = []
    for path in [data] if isinstance(data, Path) else data:
        if ctich.is_layout(path):
            release = ctich.read_release(path)
            slices += release.slices
            problems += release.problems
        else:
            found, wrong = _scans(path)
            scans += found
            problems += wrong
    _once(slices)
    slices += volumes.slices_of(scans)
    slices.sort(key=lambda s: (s.patient, s.slice_position_mm))
    return Release(tuple(slices), tuple(problems))


def _scans(path: Path) -> tuple[list[volumes.Scan], list[str]]:
    """Index a folder whose types are known by voxel."""
    if (path / description.FILE).exists():
        described = description.describe(path)
        reader = folder.read_folder if described.types else dicom.read_dicom
        return reader(path, described)
    if bhsd := folder.bhsd_folder(path):
        return folder.read_bhsd(bhsd)
    if path.is_dir() and dicom.is_dicom(path):
        return dicom.read_dicom(path, DICOM)
    raise DataError(
        f"{path}: is no folder of CT-ICH (hemorrhage_diagnosis.csv), of BHSD (images, ground"
        f" truths), with a {description.FILE}, nor of DICOM; docs/training.md says what each looks"
        " like"
    )


def _once(slices: Sequence[Slice]) -> None:
    """Refuse a copy of CT-ICH that is given twice."""
    places = [(ct_slice.patient, ct_slice.number) for ct_slice in slices]
    if len(set(places)) < len(places):
        raise DataError("two folders of CT-ICH hold the same patient; give each patient once")


def read_hu(ct_slice: Slice) -> npt.NDArray[np.float32]:
    """HU of one slice (row, column)."""
    return volumes.read_hu(ct_slice.slab) if ct_slice.slab else ctich.read_hu(ct_slice)


def read_kinds(ct_slice: Slice) -> npt.NDArray[np.uint8] | None:
    """Type of each pixel (row, column), 0 none, 1 ... 5; None where it isn't known by pixel."""
    return volumes.read_kinds(ct_slice.slab) if ct_slice.slab else None


def read_types(ct_slice: Slice, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8] | None:
    """Type of each pixel (row, column), of `mask` too where it has one; None where it has several.

    Of CT-ICH's slices with several types nobody has marked which pixels are which.
    """
    kinds = read_kinds(ct_slice)
    return kinds_of(mask, ct_slice.types) if kinds is None else kinds


def read_mask(ct_slice: Slice) -> npt.NDArray[np.bool_]:
    """Blood of any type in one slice (row, column); all False where there is no mask."""
    kinds = read_kinds(ct_slice)
    return ctich.read_mask(ct_slice) if kinds is None else kinds > 0


def read_series(
    slices: Sequence[Slice],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """One scan as the worker would get it: HU (slice, row, column) and positions in mm."""
    hu = np.stack([read_hu(ct_slice) for ct_slice in slices])
    return hu, np.array([ct_slice.slice_position_mm for ct_slice in slices])
