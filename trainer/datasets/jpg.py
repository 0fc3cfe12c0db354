"""CT-ICH 1.0.0: JPG slices back to HU, masks, and the label table.

The publication gives each slice as two 8-bit pictures, a brain and a bone window. HU are rebuilt
from the two, so that the network's own preprocessing starts from HU here as it does in the clinic.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from trainer.datasets.slices import DataError, Release, Slice, rows_of, types_of

TABLE = "hemorrhage_diagnosis.csv"
MASK_CUT = 127  # the masks are JPEGs: what should be 255 or 0 is only near it


def read_release(data: Path) -> Release:
    """Index a folder of 1.0.0's layout without decoding a picture.

    Raises
    ------
    DataError
        No label table or no patients.
    """
    slices, problems = [], []
    for row in rows_of(data / TABLE):
        found, wrong = _slice(data, row)
        problems += wrong
        slices += found
    if not slices:
        raise DataError(f"{data / 'Patients_CT'}: no slice of the label table is here")
    slices.sort(key=lambda s: (s.patient, s.number))
    return Release(tuple(slices), (*problems, *_unlisted(data, slices)))


def _slice(data: Path, row: Mapping[str, str]) -> tuple[list[Slice], list[str]]:
    """Find one row's files; patients whose folder is absent are simply not part of this copy."""
    patient, number = int(row["PatientNumber"]), int(row["SliceNumber"])
    folder = data / "Patients_CT" / f"{patient:03d}"
    if not folder.is_dir():
        return [], []
    types = types_of(row)
    brain, bone = folder / "brain" / f"{number}.jpg", folder / "bone" / f"{number}.jpg"
    mask = brain.with_name(f"{number}_HGE_Seg.jpg")
    if not brain.exists():
        return [], [f"{brain.relative_to(data)}: missing, slice left out"]
    problems = []
    if not bone.exists():
        problems.append(f"{bone.relative_to(data)}: missing, HU outside the brain window unknown")
    if any(types) != mask.exists():
        problems.append(
            f"{mask.relative_to(data)}: {'missing' if any(types) else 'exists'}, yet the table"
            f" says {'hemorrhage' if any(types) else 'none'}"
        )
    if any(types) == (row["No_Hemorrhage"] == "1"):
        problems.append(f"{table_row(patient, number)}: No_Hemorrhage contradicts the types")
    found = Slice(
        patient,
        number,
        types,
        brain,
        bone if bone.exists() else None,
        mask if mask.exists() else None,
    )
    return [found], problems


def table_row(patient: int, number: int) -> str:
    """How a message names a row of the label table."""
    return f"{TABLE}, patient {patient}, slice {number}"


def _unlisted(data: Path, slices: Sequence[Slice]) -> list[str]:
    """Name every slice picture that the table does not know."""
    listed = {s.brain for s in slices}
    pictures = sorted((data / "Patients_CT").glob("*/brain/*.jpg"))
    return [
        f"{picture.relative_to(data)}: not in the label table, left out"
        for picture in pictures
        if picture.stem.isdigit() and picture not in listed
    ]


def hounsfield(brain: npt.NDArray[np.uint8], bone: npt.NDArray[np.uint8]) -> npt.NDArray[np.int16]:
    """Rebuild HU (row, column) from the brain (40/120) and the bone (700/3200) picture.

    Inside the brain window to about 0.5 HU, elsewhere to about 12.5 HU.
    """
    soft = brain.astype(np.float32) / 255 * 120 - 20
    hard = bone.astype(np.float32) / 255 * 3200 - 900
    outside = np.where(brain >= 253, np.maximum(hard, 100), soft)
    hu = np.where(brain <= 2, np.minimum(hard, -20), outside)
    hu[(bone <= 1) & (brain <= 2)] = -1000
    return np.rint(hu).astype(np.int16)


def _grey(path: Path) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L"))
    except OSError as error:
        raise DataError(f"{path}: is no readable picture; copy the file again") from error


def read_hu(ct_slice: Slice) -> npt.NDArray[np.float32]:
    """HU of one slice (row, column)."""
    brain = _grey(ct_slice.brain)
    bone = np.zeros_like(brain) if ct_slice.bone is None else _grey(ct_slice.bone)
    return hounsfield(brain, bone).astype(np.float32)


def read_mask(ct_slice: Slice) -> npt.NDArray[np.bool_]:
    """Blood of any type in one slice (row, column); all False where the release has no mask."""
    if ct_slice.mask is None:
        return np.zeros(_grey(ct_slice.brain).shape, np.bool_)
    return _grey(ct_slice.mask) > MASK_CUT
