"""What the catalogue and the selection need to know of an object, read without its pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from receiver.identity import Identity
from schema.errors import UnreadableObjectError

TEXT_LIMIT: Final = 256
TAGS: Final = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyDescription",
    "Modality", "SeriesDescription", "ProtocolName", "BodyPartExamined", "ImageType",
    "ConvolutionKernel", "ContrastBolusAgent", "BurnedInAnnotation", "NumberOfFrames",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    "Rows", "Columns", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """One object's identity, labels and geometry; what is absent is empty or None.

    Attributes
    ----------
    position_mm, orientation
        Image Position and Image Orientation (Patient), one pair for each frame (PS3.3 C.7.6.2).
    spacing_mm
        Pixel Spacing: row, column.
    """

    identity: Identity
    transfer_syntax_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    study_description: str
    modality: str
    series_description: str
    protocol_name: str
    body_part: str
    image_type: tuple[str, ...]
    kernel: str
    contrast_agent: str
    burned_in: str
    positions_mm: tuple[tuple[float, ...], ...]
    orientations: tuple[tuple[float, ...], ...]
    spacing_mm: tuple[float, ...]
    slice_thickness_mm: float | None


def read_header(path: Path) -> Header:
    """Read a stored object's header.

    Raises
    ------
    UnreadableObjectError
        If the file is no DICOM object or its header cannot be parsed.
    """
    try:
        ds = dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        return _header(ds)
    except UnreadableObjectError:
        raise
    except Exception as error:
        raise UnreadableObjectError(f"header cannot be read: {type(error).__name__}") from error


def _header(ds: Dataset) -> Header:
    frames = _frames(ds)
    return Header(
        identity=Identity(
            _text(ds, "SOPClassUID"), _text(ds, "SOPInstanceUID"),
            _text(ds, "StudyInstanceUID"), _text(ds, "SeriesInstanceUID"),
        ),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        patient_id=_text(ds, "PatientID"),
        patient_name=_text(ds, "PatientName"),
        accession_number=_text(ds, "AccessionNumber"),
        study_date=_text(ds, "StudyDate"),
        study_description=_text(ds, "StudyDescription"),
        modality=_text(ds, "Modality"),
        series_description=_text(ds, "SeriesDescription"),
        protocol_name=_text(ds, "ProtocolName"),
        body_part=_text(ds, "BodyPartExamined"),
        image_type=tuple(str(value) for value in _values(ds, "ImageType")),
        kernel="\\".join(str(value) for value in _values(ds, "ConvolutionKernel")),
        contrast_agent=_text(ds, "ContrastBolusAgent"),
        burned_in=_text(ds, "BurnedInAnnotation"),
        positions_mm=tuple(_numbers(frame, "ImagePositionPatient") for frame in frames),
        orientations=tuple(_numbers(frame, "ImageOrientationPatient") for frame in frames),
        spacing_mm=_numbers(frames[0], "PixelSpacing") if frames else (),
        slice_thickness_mm=next(iter(_numbers(frames[0], "SliceThickness")), None),
    )  # fmt: skip


def _frames(ds: Dataset) -> list[Dataset]:
    """Flatten the functional groups (PS3.3 C.7.6.16) into one dataset a frame."""
    shared = _flatten(next(iter(_values(ds, "SharedFunctionalGroupsSequence")), Dataset()))
    per_frame = _values(ds, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [ds]
    return [_merge(shared, _flatten(groups)) for groups in per_frame]


def _flatten(groups: Dataset) -> Dataset:
    flat = Dataset()
    for element in groups:
        if element.VR == "SQ" and element.value:
            flat.update(element.value[0])
    return flat


def _merge(shared: Dataset, frame: Dataset) -> Dataset:
    merged = Dataset()
    merged.update(shared)
    merged.update(frame)
    return merged


def _text(ds: Dataset, keyword: str) -> str:
    """Give an attribute as one line of text; PostgreSQL refuses NUL, a log refuses line ends."""
    value = ds.get(keyword)
    text = "" if value is None else str(value)
    return "".join(char for char in text if char.isprintable()).strip()[:TEXT_LIMIT]


def _values(ds: Dataset, keyword: str) -> Sequence[Any]:
    value = ds.get(keyword)
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str | int | float) else tuple(value)


def _numbers(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """Give an attribute's numbers; none of them if one is not finite."""
    numbers = tuple(float(value) for value in _values(ds, keyword))
    return numbers if all(math.isfinite(number) for number in numbers) else ()
