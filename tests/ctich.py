"""A tiny CT-ICH release: patients of a few slices, bleeds as bright squares."""

from collections.abc import Mapping
from pathlib import Path

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
