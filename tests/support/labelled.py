"""Made-up scans with a type for each voxel: BHSD's layout, and DICOM with a Segmentation."""

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
from pydicom import dcmread

from tests.support.phantoms import Phantom, lying, write
from tests.support.statements import REPORTED
from worker.forms import SegmentationType
from worker.objects.segmentation import Algorithm, write_segmentation
from worker.slices import read_series

SIDE = 64
BLOOD = np.s_[10:30, 20:40]  # rows, columns
STAYS = np.eye(4)
LEFT, RIGHT = np.s_[10:30, 20:30], np.s_[10:30, 30:40]


def kinds(planes: int, **blood: tuple[slice, int]) -> npt.NDArray[np.uint8]:
    """Make a label map (plane, row, column) of so many planes: EDH=(slice(1, 3), 1) and so on."""
    made = np.zeros((planes, SIDE, SIDE), np.uint8)
    for where, label in blood.values():
        made[where, BLOOD[0], BLOOD[1]] = label
    return made


def mixed() -> npt.NDArray[np.uint8]:
    """Make a label map with two types in the middle one of three planes."""
    labels = kinds(3)
    labels[1][LEFT], labels[1][RIGHT] = 1, 5
    return labels


def head(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """HU of a scan with this label map: air, a head of 30 HU, blood of 70 HU."""
    hu = np.full(labels.shape, -1000.0)
    hu[:, 4:-4, 4:-4] = 30
    hu[labels > 0] = 70
    return hu


def save(
    path: Path,
    seen: npt.NDArray[np.generic],
    step_mm: float = 5.0,
    axes: str = "LAS",
    moved: npt.NDArray[np.float64] = STAYS,
) -> None:
    """Write (plane from the lowest up, row from the front, column from the right) as NIfTI."""
    volume = np.ascontiguousarray(seen.transpose(2, 1, 0))
    lies = moved @ np.diag([-0.49, -0.49, step_mm, 1.0])  # L, P, S
    image = nibabel.Nifti1Image(volume, lies)
    start = nibabel.io_orientation(image.affine)
    stored = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(axes))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(stored), path)


def make_bhsd(
    folder: Path, scans: Mapping[str, npt.NDArray[np.uint8]], step_mm: float = 5.0
) -> Path:
    """Write scans by name, as ID_0a1b2c3d_ID_0123456789, the way BHSD's archive unpacks."""
    for name, labels in scans.items():
        save(folder / "label_192" / "images" / f"{name}.nii.gz", head(labels), step_mm)
        save(folder / "label_192" / "ground truths" / f"{name}.nii.gz", labels * 1.0, step_mm)
    return folder


def make_dicom(
    folder: Path,
    labels: npt.NDArray[np.uint8],
    corrected: bool = True,
    enhanced: bool = False,
    form: SegmentationType = "BINARY",
    turns: int = 0,
    **phantom: object,
) -> Path:
    """Write a phantom's series and this system's own Segmentation of it, corrected by somebody.

    `turns` lays the head on a side or on its face; `labels` have the face up.
    """
    step_mm = float(phantom.pop("step_mm", 5.0))
    positions = tuple((np.arange(len(labels)) * step_mm).tolist())
    scanned = Phantom(positions, size=SIDE, **phantom)
    datasets = [scanned.enhanced] if enhanced else lying(scanned.datasets, turns)
    source = read_series(write(datasets, folder / "ct"))
    seen = np.ascontiguousarray(np.rot90(labels, turns, axes=(1, 2)))
    written = write_segmentation(
        source, seen, Algorithm("made up", "ab" * 32, REPORTED), folder / "seg", form
    )
    if corrected:
        seg = dcmread(written.path)
        for segment in seg.SegmentSequence:
            segment.SegmentAlgorithmType = "SEMIAUTOMATIC"
        seg.save_as(written.path)
    return folder
