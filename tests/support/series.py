"""Series of headers without pixels, made of rows: what a scanner writes and what it leaves out."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydicom.uid
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset

from receiver.instance.header import Header, make_header
from receiver.selection.rules import SelectionRules, load_rules

KEYWORDS = {
    "desc": "SeriesDescription",
    "protocol": "ProtocolName",
    "kernel": "ConvolutionKernel",
    "type": "ImageType",
    "part": "BodyPartExamined",
    "study": "StudyDescription",
    "agent": "ContrastBolusAgent",
    "rescale": "RescaleType",
}
PLANES: dict[str, tuple[tuple[float, ...], tuple[float, float, float]]] = {
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 1)),
    "coronal": ((1, 0, 0, 0, 0, -1), (0, 1, 0)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (1, 0, 0)),
}
STUDY = "1.2.826.0.1.99.1"
# What makes a stack of slices; a test may drop it all the same.
GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")


def rules_without_veto() -> SelectionRules:
    """Give the shipped rules with every hint left to the look at the images."""
    rules = load_rules()
    return rules.model_copy(update={"hints": rules.hints.model_copy(update={"veto": -1e9})})


def series(row: Mapping[str, Any]) -> list[Header]:
    """Make the headers of one row of the table."""
    return headers(datasets(row))


def headers(objects: Sequence[Dataset]) -> list[Header]:
    """Read headers from datasets."""
    with disable_value_validation():
        return [make_header(ds) for ds in objects]


def datasets(row: Mapping[str, Any], number: int = 1) -> list[Dataset]:
    """Make the datasets of one row; absent keys leave their attribute out."""
    return [_dataset(row, number, index) for index in range(row.get("count", 32))]


def places(row: Mapping[str, Any]) -> list[float]:
    """Give the table positions of a row: `slice_position_mm`, or `count` times `step_mm`."""
    step_mm = row.get("step_mm", 5.0)
    return list(
        row.get("slice_position_mm", [index * step_mm for index in range(row.get("count", 32))])
    )


def _dataset(row: Mapping[str, Any], number: int, index: int) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID = getattr(pydicom.uid, row.get("sop", "CTImageStorage"))
    ds.StudyInstanceUID = STUDY
    ds.SeriesInstanceUID = f"{STUDY}.{number}"
    ds.SOPInstanceUID = f"{STUDY}.{number}.{index + 1}"
    ds.Modality = "CT"
    ds.InstanceNumber = index + 1
    ds.Rows = ds.Columns = row.get("rows", 512)
    _place(ds, row, places(row)[index])
    for key, keyword in KEYWORDS.items():
        if key in row:
            setattr(ds, keyword, row[key])
    for keyword, value in row.get("attributes", {}).items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def _place(ds: Dataset, row: Mapping[str, Any], place_mm: float) -> None:
    orientation, along = PLANES[row.get("plane", "axial")]
    tilt = math.radians(row.get("tilt", 0.0))
    if tilt:  # a tilted gantry: the table still moves along the patient
        orientation = (1, 0, 0, 0, round(math.cos(tilt), 6), round(-math.sin(tilt), 6))
    ds.ImageOrientationPatient = list(orientation)
    ds.ImagePositionPatient = [round(place_mm * axis, 3) for axis in along]
    ds.PixelSpacing = [row.get("pixel_mm", 0.45)] * 2


def write(objects: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write datasets as files that are named by number."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:04d}.dcm" for index in range(len(objects))]
    for ds, path in zip(objects, paths, strict=True):
        ds.save_as(path, enforce_file_format=True)
    return paths
