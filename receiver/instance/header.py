"""What the catalogue and the selection need to know of an object, read without its pixels."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag

from receiver.instance.requested import Requested, read_requested
from receiver.protocol.ascending import Ascending
from receiver.protocol.identity import Identity
from receiver.protocol.values import integer, items, number, numbers, one_line, text, values
from schema.errors import UnreadableObjectError

TAGS: Final = tuple(
    Tag(keyword) for keyword in (
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
        "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex",
        "StudyTime", "StationName", "AccessionNumber", "StudyDate", "StudyDescription",
        "Modality", "SeriesDescription", "SeriesNumber", "ProtocolName", "BodyPartExamined",
        "ImageType",
        "ConvolutionKernel", "ContrastBolusAgent", "ContrastBolusRoute", "ContrastBolusVolume",
        "ContrastBolusAgentSequence", "BurnedInAnnotation", "QualityControlImage",
        "MultienergyCTAcquisition", "ManufacturerModelName", "RescaleType", "KVP",
        "AcquisitionDateTime", "AcquisitionDate",
        "AcquisitionTime", "AcquisitionNumber", "InstanceNumber", "NumberOfFrames",
        "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
        "InstitutionalDepartmentName", "RequestingService", "CurrentPatientLocation",
        "RequestedProcedurePriority",
        "Rows", "Columns", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    )
)  # fmt: skip
PIXELS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # float, double float, Pixel Data
Vector = tuple[float, ...]


@dataclass(frozen=True)
class Header:
    """One object's identity, labels and geometry; what is absent is empty, 0 or None.

    Attributes
    ----------
    kernel
        Convolution Kernel, several values joined by a backslash; of an Enhanced CT its group.
    device
        Manufacturer's Model Name.
    contrast_agent
        Agent, volume and route as far as given, in one text.
    acquired
        Sorts objects in the order of their acquisition: date and time, acquisition and instance
        number.
    image_position_mm, orientations
        Image Position and Image Orientation (Patient), one pair for each frame (PS3.3 C.7.6.2).
    spacing_mm
        Pixel Spacing: row, column.
    series_number, requested
        What its series' row keeps: neither compared nor in the column. The latter is how it was
        asked for and sent.
    """

    identity: Identity
    transfer_syntax_uid: str
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    modality: str = ""
    series_description: str = ""
    protocol_name: str = ""
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    kernel: str = ""
    contrast_agent: str = ""
    burned_in: str = ""
    quality_control: str = ""
    multi_energy: str = ""
    rescale_type: str = ""
    kvp: float | None = None
    acquired: tuple[str, int, int] = ("", 0, 0)
    rows: int = 0
    columns: int = 0
    image_position_mm: tuple[Vector, ...] = ()
    orientations: tuple[Vector, ...] = ()
    spacing_mm: Vector = ()
    slice_thickness_mm: float | None = None
    patient_birth_date: str = ""
    patient_sex: str = ""
    study_time: str = ""
    station_name: str = ""
    device: str = ""
    issuer_of_patient_id: str = ""
    series_number: int = field(default=0, compare=False)
    requested: Requested = field(default=Requested(), compare=False)


def read_header(source: Path | BinaryIO) -> Header:
    """Read a stored object's header from its path, or from the file that is open already.

    An open file stands before its pixels afterwards, or at its end.

    Raises
    ------
    UnreadableObjectError
        If the file is no DICOM object, says an element twice or in the wrong place, or lacks one of
        its UIDs; any other attribute may be missing.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return read_header(file)
    try:
        with disable_value_validation():  # a warning would print the value
            ds = read_partial(source, Ascending(until=PIXELS), specific_tags=list(TAGS))
            return make_header(ds)
    except UnreadableObjectError:
        raise
    except Exception as error:
        raise UnreadableObjectError(f"header cannot be read: {type(error).__name__}") from error


def make_header(ds: Dataset) -> Header:
    """Take the header out of a dataset with its file meta information.

    Raises
    ------
    UnreadableObjectError
        If a UID is missing or malformed.
    """
    frames = _frames(ds)
    first = frames[0]
    return Header(
        identity=Identity(
            text(ds, "SOPClassUID"), text(ds, "SOPInstanceUID"),
            text(ds, "StudyInstanceUID"), text(ds, "SeriesInstanceUID"),
        ),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        patient_id=text(ds, "PatientID"),
        issuer_of_patient_id=text(ds, "IssuerOfPatientID"),
        patient_name=text(ds, "PatientName"),
        accession_number=text(ds, "AccessionNumber"),
        study_date=text(ds, "StudyDate"),
        patient_birth_date=text(ds, "PatientBirthDate"),
        patient_sex=text(ds, "PatientSex"),
        study_time=text(ds, "StudyTime"),
        station_name=text(ds, "StationName"),
        study_description=text(ds, "StudyDescription"),
        modality=text(ds, "Modality"),
        series_description=text(ds, "SeriesDescription"),
        protocol_name=text(ds, "ProtocolName"),
        body_part=text(ds, "BodyPartExamined") or _meaning(first, "AnatomicRegionSequence"),
        image_type=_image_type(ds, first),
        kernel=text(first, "ConvolutionKernel") or text(first, "ConvolutionKernelGroup"),
        contrast_agent=_contrast_agent(ds),
        burned_in=text(ds, "BurnedInAnnotation"),
        quality_control=text(ds, "QualityControlImage"),
        multi_energy=text(ds, "MultienergyCTAcquisition"),
        device=text(ds, "ManufacturerModelName"),
        rescale_type=text(first, "RescaleType"),
        kvp=number(first, "KVP"),
        acquired=_acquired(ds),
        rows=integer(ds, "Rows"),
        columns=integer(ds, "Columns"),
        image_position_mm=tuple(numbers(frame, "ImagePositionPatient", 3) for frame in frames),
        orientations=tuple(numbers(frame, "ImageOrientationPatient", 6) for frame in frames),
        spacing_mm=numbers(first, "PixelSpacing", 2),
        slice_thickness_mm=number(first, "SliceThickness"),
        series_number=integer(ds, "SeriesNumber"),
        requested=read_requested(ds),
    )  # fmt: skip


def _image_type(ds: Dataset, first: Dataset) -> tuple[str, ...]:
    """Give Image Type, or Frame Type where an Enhanced CT says MIXED (PS3.3 C.8.16.1)."""
    own, frame = (
        tuple(one_line(str(value).upper()) for value in values(source, keyword))
        for source, keyword in ((ds, "ImageType"), (first, "FrameType"))
    )
    return frame if frame and ("MIXED" in own or not own) else own


def _contrast_agent(ds: Dataset) -> str:
    volume_ml = number(ds, "ContrastBolusVolume") or 0
    given = (
        text(ds, "ContrastBolusAgent") or _meaning(ds, "ContrastBolusAgentSequence"),
        f"{volume_ml:g} mL" if volume_ml > 0 else "",
        text(ds, "ContrastBolusRoute"),
    )
    return " ".join(filter(None, given))


def _acquired(ds: Dataset) -> tuple[str, int, int]:
    moment = text(ds, "AcquisitionDateTime") or (
        text(ds, "AcquisitionDate") + text(ds, "AcquisitionTime")
    )
    return moment, integer(ds, "AcquisitionNumber"), integer(ds, "InstanceNumber")


def _meaning(ds: Dataset, keyword: str) -> str:
    return next((text(code, "CodeMeaning") for code in items(ds, keyword)), "")


def _frames(ds: Dataset) -> list[Dataset]:
    """Flatten the functional groups (PS3.3 C.7.6.16) into one dataset a frame."""
    per_frame = items(ds, "PerFrameFunctionalGroupsSequence")
    if not per_frame:
        return [ds]
    shared = _flatten(next(iter(items(ds, "SharedFunctionalGroupsSequence")), Dataset()))
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
