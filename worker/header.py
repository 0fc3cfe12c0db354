"""Read values out of a DICOM header that may lack them or lie.

Every message names the SOP instance, never the patient.
"""

import struct
from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.charset import python_encoding
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.tag import BaseTag
from pydicom.valuerep import DA, TM, validate_value

from schema.errors import GeometryError, PixelError, UnreadableObjectError

# What pydicom, its decoders and highdicom raise on bytes that are not what they claim to be.
MALFORMED: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    OSError,  # a sequence that ends early; a file that is missing has been reported before
    RuntimeError,  # includes RecursionError: sequences nested a thousand deep
    TypeError,
    ValueError,
    struct.error,
)

# Type 2 in the Patient, General Study and Frame of Reference modules (PS3.3 C.7.1.1, C.7.2.1,
# C.7.4.1); emergency patients lack them.
MAY_BE_MISSING: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
# Type 2 in modules that need not be there: what shows that one is, and what it then has, if empty
# (PS3.3 C.7.1.3, C.7.2.3, and of animals C.7.1.1).
TYPE_2_BESIDE: Final = (
    (
        ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID"),
        ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName"),
    ),
    (
        ("ClinicalTrialTimePointDescription", "ConsentForClinicalTrialUseSequence"),
        ("ClinicalTrialTimePointID",),
    ),
    (
        ("PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
        (
            "PatientSexNeutered",
            "PatientBreedDescription",
            "PatientBreedCodeSequence",
            "BreedRegistrationSequence",
            "ResponsiblePerson",
            "ResponsibleOrganization",
        ),
    ),
)
DATES_AND_TIMES: Final[Mapping[str, type]] = MappingProxyType(
    {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
)
UTF_8: Final = "ISO_IR 192"
CHECKED: Final = ("AS", "DA", "TM")
NUMERIC: Final = ("DS", "IS")
SEXES: Final = ("M", "F", "O")
LARGEST: Final = 1e9  # beyond any position, spacing or rescale; keeps later sums finite


def name_of(ds: Dataset) -> str:
    """Return what messages call an object."""
    return f"SOP instance {uid(ds, 'SOPInstanceUID')}"


def uid(ds: Dataset, keyword: str) -> str:
    """Return a UID that must be there.

    Raises
    ------
    UnreadableObjectError
        It is missing or no UID (PS3.5 section 9).
    """
    try:
        value = ds.get(keyword)
    except MALFORMED as error:
        raise UnreadableObjectError(f"{keyword} cannot be read; send the object again") from error
    text = str(value or "")
    if not text or len(text) > 64 or not set(text) <= set("0123456789."):
        raise UnreadableObjectError(f"{keyword} is missing or no UID; send the object again")
    return text


def text(ds: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a string attribute, none when it is missing or cannot be read."""
    try:
        value = ds.get(keyword)
    except MALFORMED:
        return ()
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def whole_number(ds: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number within low ... high.

    Raises
    ------
    PixelError
        It is missing without a default, or outside.
    """
    try:
        value = ds.get(keyword)
        number = default if value is None or value == "" else int(value)
    except MALFORMED as error:
        raise PixelError(f"{name_of(ds)}: {keyword} is no number; send it again") from error
    if number is None or not low <= number <= high:
        raise PixelError(
            f"{name_of(ds)}: {keyword} is {number}, this system reads {low} ... {high}"
        )
    return number


def numbers(ds: Dataset, keyword: str, count: int, where: str) -> npt.NDArray[np.float64]:
    """Return `count` finite numbers, (count,).

    Raises
    ------
    GeometryError
        The attribute is missing, has another count, or is not finite.
    """
    try:
        value = ds[keyword].value
        values = np.array(value if count > 1 else [value], np.float64)
    except MALFORMED as error:
        raise GeometryError(f"{where}: {keyword} is missing or no number; send it again") from error
    if values.shape != (count,) or not np.all(np.abs(values) <= LARGEST):  # NaN is not <= either
        raise GeometryError(
            f"{where}: {keyword} is {values.tolist()}, not {count} finite numbers; send it again"
        )
    return values


def length_mm(ds: Dataset, keyword: str) -> float | None:
    """Return a length that may be missing; None also for what is no number."""
    try:
        value = float(ds[keyword].value)
    except MALFORMED:
        return None
    return value if 0 < value < LARGEST else None


def number(ds: Dataset, keyword: str) -> int | None:
    """Return an IS (PS3.5 6.2) that may be missing; None also for what is no such number."""
    try:
        value = int(ds[keyword].value)
    except MALFORMED:
        return None
    return value if -(2**31) <= value < 2**31 else None


def completed(ds: Dataset) -> Dataset:
    """Return the header as highdicom needs it to make an object of the same patient and study.

    Every type 2 attribute is present, empty where unknown; of modules that need not be there, where
    they are. What else is empty or cannot be read is gone:
    highdicom copies it, and a weight that is no number must not keep a bleed from the worklist.
    """
    for tag in list(ds.keys()):
        if not _is_readable(ds, tag):
            del ds[tag]
    beside = (needed for shown, needed in TYPE_2_BESIDE if any(key in ds for key in shown))
    for keyword in (*MAY_BE_MISSING, *chain.from_iterable(beside)):
        if keyword not in ds:
            setattr(ds, keyword, [] if keyword.endswith("Sequence") else "")
    if ds.get("PatientIdentityRemoved") == "YES" and "DeidentificationMethod" not in ds:
        ds.DeidentificationMethod = "not stated by the sender"  # type 1C (PS3.3 C.7.1.1)
    return ds


def _is_readable(ds: Dataset, tag: BaseTag) -> bool:
    """Tell whether an element has a value of its own kind; pydicom keeps "much" as a weight."""
    try:
        element = ds[tag]
        if element.VR in CHECKED:
            validate_value(element.VR, str(element.value), RAISE)
        if element.keyword in DATES_AND_TIMES:
            DATES_AND_TIMES[element.keyword](element.value)  # what highdicom does with it
    except MALFORMED:
        return False
    if element.VR in NUMERIC and isinstance(element.value, str):
        return False
    if element.keyword == "PatientSex" and element.value not in SEXES:
        return False
    return not element.is_empty


def without_name(header: Dataset) -> Dataset:
    """Return a copy for highdicom that lacks the patient's name.

    highdicom warns of names with one component by printing them; no name may reach a log. It also
    refuses character sets that are in daily use (ISO_IR 6, Korean, Chinese). `restore_name` puts
    both back.
    """
    copy = Dataset()
    copy.update(header)
    copy.file_meta = header.file_meta
    # New elements: assigning to the copy's would change the header's, which it shares.
    copy["PatientName"] = DataElement("PatientName", "PN", "")
    copy["SpecificCharacterSet"] = DataElement("SpecificCharacterSet", "CS", UTF_8)
    return copy


def restore_name(result: Dataset, header: Dataset) -> None:
    """Give a result its patient's name, in the sender's character set where that is known."""
    result.PatientName = header.PatientName
    names = text(header, "SpecificCharacterSet")
    if not names:
        del result.SpecificCharacterSet
    elif set(names) <= python_encoding.keys():
        result.SpecificCharacterSet = list(names)
