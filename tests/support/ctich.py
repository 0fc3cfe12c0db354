"""A tiny CT-ICH release: patients of a few slices, bleeds as bright squares."""

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image

HEADER = (
    "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,"
    "No_Hemorrhage,Fracture_Yes_No"
)
TYPES = ("IVH", "IPH", "SAH", "EDH", "SDH")  # in the order of the table
SIDE = 64
BLOOD = np.s_[10:30, 20:40]

TINY = """
[[stages]]
size = 32
epochs = 1
batch = 4
[network]
width = 4
[preprocessing]
size = 64
crop = 'frame'
clip_limit = 0.0
[optimiser]
schedule = 'cosine'
"""


def make(folder: Path, patients: Mapping[int, tuple[str, ...]], slices: int = 3) -> Path:
    """Write a release in 1.0.0's layout; slice 2 of a patient holds the patient's types."""
    rng = np.random.default_rng(0)
    rows = [HEADER]
    for patient, types in patients.items():
        for number in range(1, slices + 1):
            found = types if number == 2 else ()
            flags = [int(name in found) for name in TYPES]
            rows.append(",".join(map(str, [patient, number, *flags, int(not found), 0])))
            _write(folder / "Patients_CT" / f"{patient:03d}", number, bool(found), rng)
    (folder / "hemorrhage_diagnosis.csv").write_text("\n".join(rows) + "\n")
    return folder


def _write(folder: Path, number: int, bleeds: bool, rng: np.random.Generator) -> None:
    picture = rng.integers(60, 100, (SIDE, SIDE)).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    if bleeds:
        mask[BLOOD], picture[BLOOD] = 255, 200
    for window in ("brain", "bone"):
        (folder / window).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / window / f"{number}.jpg")
    if bleeds:
        Image.fromarray(mask).save(folder / "brain" / f"{number}_HGE_Seg.jpg")


def make_nifti(
    folder: Path, patients: Mapping[int, tuple[str, ...]], slices: int = 3, axes: str = "RAS"
) -> Path:
    """Write the same release in 1.3.1's layout, voxels stored along `axes`.

    HU are 40 with 70 in the bleed, and a bone of 900 marks the front right corner of each slice.
    """
    header = HEADER.removesuffix(",Fracture_Yes_No")
    rows = [header]
    for patient, types in patients.items():
        scan = np.full((SIDE, SIDE, slices), 40, np.int16)  # (slice from right to left, ...)
        mask = np.zeros(scan.shape, np.uint8)
        scan[:4, :4] = 900
        if types:
            mask[BLOOD[1], BLOOD[0], 1], scan[BLOOD[1], BLOOD[0], 1] = 1, 70
        for number in range(1, slices + 1):
            found = types if number == 2 else ()
            flags = [int(name in found) for name in TYPES]
            rows.append(",".join(map(str, [patient, number, *flags, int(not found)])))
        save(folder / "ct_scans" / f"{patient:03d}.nii", scan, axes)
        if types:
            save(folder / "masks" / f"{patient:03d}.nii", mask, axes)
    (folder / "hemorrhage_diagnosis_raw_ct.csv").write_text("\n".join(rows) + "\n")
    return folder


def save(path: Path, seen: np.ndarray, axes: str = "RAS") -> None:
    """Write (right to left, front to back, upwards) as NIfTI with its voxels along `axes`.

    Spacing is 0.5 mm from side to side, 0.4 mm from front to back, 5 mm upwards.
    """
    image = nibabel.Nifti1Image(seen, np.diag([-0.5, -0.4, 5.0, 1.0]))  # L, P, S
    start = nibabel.io_orientation(image.affine)
    stored = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(axes))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image.as_reoriented(stored), path)
