"""CT-ICH 1.3.1: one NIfTI volume of HU a patient, one of masks, and the label table.

The table's slice n is plane n - 1 as stored. Frames come out as a radiologist sees them, whatever
the storage order: rows from front to back, columns from the patient's right to the left. Positions
rise to the head. All of that is read from the affine matrix, nothing is guessed from the name.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from trainer.datasets.slices import DataError, Release, Slice, rows_of, types_of

TABLE = "hemorrhage_diagnosis_raw_ct.csv"


def is_layout(data: Path) -> bool:
    """Whether a folder holds this layout rather than 1.0.0's."""
    return (data / TABLE).exists() or (data / "ct_scans").is_dir()


@dataclass(frozen=True)
class Grid:
    """Geometry of a volume."""

    shape: tuple[int, int, int]  # as stored
    spacing_mm: tuple[float, float]  # row, column of the frames that come out
    interval_mm: float
    swapped: bool  # the first stored axis goes from front to back
    rightward: bool  # the column axis rises to the patient's right
    forward: bool  # the row axis rises to the front
    upward: bool  # planes rise to the head

    def z_mm(self, plane: int) -> float:
        """Position of a plane along the normal, 0 for the lowest."""
        return (plane if self.upward else self.shape[2] - 1 - plane) * self.interval_mm

    def alike(self, other: "Grid") -> bool:
        """Whether two volumes lie pixel on pixel; spacing may differ by rounding."""
        steps = (*self.spacing_mm, self.interval_mm), (*other.spacing_mm, other.interval_mm)
        rounded = replace(self, spacing_mm=other.spacing_mm, interval_mm=other.interval_mm)
        return rounded == other and np.allclose(*steps, rtol=1e-3)

    def frame(self, stored: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Turn a stored plane into (row, column)."""
        rows = stored if self.swapped else stored.T
        rows = rows[::-1] if self.forward else rows
        return rows[:, ::-1] if self.rightward else rows


def grid(path: Path) -> Grid:
    """Read a volume's geometry from its header.

    Raises
    ------
    DataError
        It is no volume, or its planes are not axial.
    """
    image = opened(path)
    orientation = nibabel.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    axes, signs = orientation.T  # of each stored axis: which of R, A, S, and its direction
    if len(image.shape) != 3 or axes[2] != 2:
        raise DataError(f"{path}: is no stack of axial planes, {image.shape} along {axes}")
    swapped = bool(axes[0] == 1)
    steps = np.linalg.norm(image.affine[:3, :3], axis=0)
    row, column = (0, 1) if swapped else (1, 0)
    return Grid(
        image.shape,
        (float(steps[row]), float(steps[column])),
        float(steps[2]),
        swapped,
        rightward=bool(signs[column] > 0),
        forward=bool(signs[row] > 0),
        upward=bool(signs[2] > 0),
    )


def opened(path: Path) -> nibabel.Nifti1Image:
    """Open a volume without reading its voxels."""
    try:
        image = nibabel.load(path)
    except (OSError, nibabel.filebasedimages.ImageFileError) as error:
        raise DataError(f"{path}: is no readable NIfTI volume; copy the file again") from error
    if not isinstance(image, nibabel.Nifti1Image):
        raise DataError(f"{path}: is no NIfTI volume")
    return image


def read_release(data: Path) -> Release:
    """Index a folder of 1.3.1's layout; only headers are read.

    Raises
    ------
    DataError
        No label table or no patients, or a volume that can't be read.
    """
    rows = sorted(rows_of(data / TABLE), key=lambda row: int(row["PatientNumber"]))
    slices, problems = [], []
    for patient, own in groupby(rows, key=lambda row: int(row["PatientNumber"])):
        found, wrong = _patient(data, patient, list(own))
        slices += found
        problems += wrong
    if not slices:
        raise DataError(f"{data / 'ct_scans'}: no slice of the label table is here")
    slices.sort(key=lambda s: (s.patient, s.slice_position_mm))
    return Release(tuple(slices), tuple(problems))


def volume(folder: Path, patient: int) -> Path | None:
    """Return the path of a patient's volume, compressed or not."""
    paths = (folder / f"{patient:03d}{suffix}" for suffix in (".nii", ".nii.gz"))
    return next((path for path in paths if path.exists()), None)


def _patient(
    data: Path, patient: int, rows: Sequence[Mapping[str, str]]
) -> tuple[list[Slice], list[str]]:
    """Find one patient's slices; one of whom nothing is here is not part of this copy."""
    scan, mask = (volume(data / folder, patient) for folder in ("ct_scans", "masks"))
    name = f"{patient:03d}.nii"
    if scan is None:
        alone = [f"ct_scans/{name}: missing, its mask is here"] if mask else []
        return [], alone
    geometry, problems = grid(scan), []
    if mask is None and any(any(types_of(row)) for row in rows):
        problems.append(f"masks/{name}: missing, yet the table says hemorrhage")
    if mask and not grid(mask).alike(geometry):
        problems.append(f"masks/{mask.name}: has another grid than the scan, left out")
        mask = None
    problems += _rows(name, geometry.shape[2], rows)
    slices = [
        Slice(
            patient,
            number,
            types_of(row),
            scan,
            None,
            mask,
            number - 1,
            geometry.z_mm(number - 1),
            geometry.spacing_mm,
            geometry.interval_mm,
        )
        for row in rows
        for number in [int(row["SliceNumber"])]
        if 1 <= number <= geometry.shape[2]
    ]
    return slices, problems


def _rows(name: str, depth: int, rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Name every row and plane without a counterpart, and rows that contradict themselves."""
    listed = {int(row["SliceNumber"]) for row in rows}
    for number in sorted(listed - set(range(1, depth + 1))):
        yield f"ct_scans/{name}: has no slice {number}, the table has"
    for number in sorted(set(range(1, depth + 1)) - listed):
        yield f"ct_scans/{name}: slice {number} is not in the label table, left out"
    for row in rows:
        if any(types_of(row)) == (row["No_Hemorrhage"].strip() == "1"):
            where = f"{TABLE}, patient {row['PatientNumber']}, slice {row['SliceNumber']}"
            yield f"{where}: No_Hemorrhage contradicts the types"


def read_hu(ct_slice: Slice) -> npt.NDArray[np.float32]:
    """HU of one slice (row, column)."""
    return _plane(ct_slice.brain, ct_slice)


def read_mask(ct_slice: Slice) -> npt.NDArray[np.bool_]:
    """Blood of any type in one slice (row, column); all False where the release has no mask."""
    if ct_slice.mask is None:
        return np.zeros(_plane(ct_slice.brain, ct_slice).shape, np.bool_)
    return np.asarray(_plane(ct_slice.mask, ct_slice) > 0)


def _plane(path: Path, ct_slice: Slice) -> npt.NDArray[np.float32]:
    try:
        stored = np.asarray(opened(path).dataobj[:, :, ct_slice.plane], np.float32)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: is cut short or damaged; copy the file again") from error
    return grid(path).frame(stored)
