"""CT-ICH 1.3.1: one NIfTI volume of HU a patient, one of masks, and the label table.

The table's slice n is plane n - 1 as stored. Frames come out as a radiologist sees them, whatever
the storage order: rows from front to back, columns from the patient's right to the left. Positions
rise to the head. All of that is read from the affine matrix, nothing is guessed from the name.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

from trainer.datasets.slices import DataError, Release, Slice, rows_of, types_of

TABLE = "hemorrhage_diagnosis_raw_ct.csv"
UNREADABLE = (OSError, ValueError, EOFError, zlib.error)  # what a damaged volume raises


def is_layout(data: Path) -> bool:
    """Whether a folder holds this layout rather than 1.0.0's."""
    return (data / TABLE).exists() or (data / "ct_scans").is_dir()


@dataclass(frozen=True, eq=False)
class Grid:
    """Geometry of a volume."""

    shape: tuple[int, int, int]  # as stored
    spacing_mm: tuple[float, float]  # row, column of the frames that come out
    interval_mm: float
    swapped: bool  # the first stored axis goes from front to back
    rightward: bool  # the column axis rises to the patient's right
    forward: bool  # the row axis rises to the front
    upward: bool  # planes rise to the head
    corners_mm: npt.NDArray[np.float64]  # (4, 3), of what comes out: the first and along each axis

    def z_mm(self, plane: int) -> float:
        """Position of a plane along the normal, 0 for the lowest."""
        return (plane if self.upward else self.shape[2] - 1 - plane) * self.interval_mm

    @property
    def frames(self) -> tuple[int, int, int]:
        """Rows, columns and planes that come out."""
        rows, columns = self.shape[:2] if self.swapped else self.shape[1::-1]
        return rows, columns, self.shape[2]

    def off_mm(self, other: "Grid") -> float:
        """How far a corner lies from where the other has it."""
        return float(np.linalg.norm(self.corners_mm - other.corners_mm, axis=1).max())

    def alike(self, other: "Grid") -> bool:
        """Whether what comes out lies pixel on pixel, however either is stored."""
        return self.frames == other.frames and self.off_mm(other) < min(self.spacing_mm) / 2

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
        _interval_mm(image.affine),
        swapped,
        rightward=bool(signs[column] > 0),
        forward=bool(signs[row] > 0),
        upward=bool(signs[2] > 0),
        corners_mm=_corners_mm(image),
    )


def says_where(path: Path) -> bool:
    """Whether a header says how its volume lies; nibabel takes one that does not for LAS."""
    header = opened(path).header
    return bool(header["sform_code"] or header["qform_code"])


def _interval_mm(affine: npt.NDArray[np.float64]) -> float:
    """Distance of two planes along their normal; stacks of a tilted gantry are sheared."""
    first, second, step = affine[:3, :3].T
    normal = np.cross(first, second)
    return float(abs(step @ normal) / np.linalg.norm(normal))


def _corners_mm(image: nibabel.Nifti1Image) -> npt.NDArray[np.float64]:
    """Where the first voxel of what comes out lies, and the last along each of its axes."""
    stored = nibabel.io_orientation(image.affine)  # type: ignore[no-untyped-call]
    seen = nibabel.orientations.axcodes2ornt("PLS")  # type: ignore[no-untyped-call]
    turn = nibabel.orientations.ornt_transform(stored, seen)  # type: ignore[no-untyped-call]
    turned = nibabel.orientations.inv_ornt_aff(turn, image.shape)  # type: ignore[no-untyped-call]
    last = np.abs(np.linalg.inv(turned)[:3, :3]) @ (np.array(image.shape) - 1)
    voxels = np.vstack((np.zeros(3), np.diag(last)))
    seen_mm = nibabel.affines.apply_affine(image.affine @ turned, voxels)  # type: ignore[no-untyped-call]
    return np.asarray(seen_mm)


def opened(path: Path) -> nibabel.Nifti1Image:
    """Open a volume without reading its voxels; a fourth axis of one volume is left off."""
    try:
        image = nibabel.load(path)
        if isinstance(image, nibabel.Nifti1Image) and len(image.shape) > 3:
            image = nibabel.squeeze_image(image)  # type: ignore[no-untyped-call]
    except (*UNREADABLE, nibabel.filebasedimages.ImageFileError) as error:
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
    if mask and not _is_plane_on_plane(grid(mask), geometry):
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


def _is_plane_on_plane(mask: Grid, scan: Grid) -> bool:
    """Whether plane n is plane n: the table counts them as stored, and so the data set says."""
    return (
        mask.shape == scan.shape
        and _stored(mask) == _stored(scan)
        and np.allclose(_steps_mm(mask), _steps_mm(scan), rtol=1e-3)
    )


def _stored(found: Grid) -> tuple[bool, bool, bool, bool]:
    return found.swapped, found.rightward, found.forward, found.upward


def _steps_mm(found: Grid) -> tuple[float, float, float]:
    return *found.spacing_mm, found.interval_mm


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
    except UNREADABLE as error:
        raise DataError(f"{path}: is cut short or damaged; copy the file again") from error
    return grid(path).frame(stored)
