"""Read values out of a DICOM header that may lack them or lie.

Every message names the SOP instance, never the patient.
"""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from schema.errors import GeometryError, PixelError, UnreadableObjectError

# What pydicom, its decoders and highdicom raise on bytes that are not what they claim to be.
MALFORMED: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,  # includes RecursionError: sequences nested a thousand deep
    TypeError,
    ValueError,
    struct.error,
)

# Type 2 in the Patient, General Study and Frame of Reference modules (PS3.3 C.7.1.1, C.7.2.1,
# C.7.4.1) and in CT Image; emergency patients lack them.
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
DATES_AND_TIMES: Final[Mapping[str, type]] = MappingProxyType(
    {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
)
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


def whole(ds: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
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


def completed(ds: Dataset) -> Dataset:
    """Return the header with every type 2 attribute present and readable, "" where unknown.

    highdicom copies these into the objects that it makes and stops at one that is missing; a
    birth date that is no date must not keep a bleed from the worklist.
    """
    for keyword in MAY_BE_MISSING:
        if keyword not in ds or not _is_readable(ds, keyword):
            setattr(ds, keyword, "")
    if "SliceThickness" not in ds:
        ds.SliceThickness = None  # type 2 in CT Image (PS3.3 C.8.2.1)
    return ds


def _is_readable(ds: Dataset, keyword: str) -> bool:
    try:
        value = ds.get(keyword)
        if keyword in DATES_AND_TIMES:
            DATES_AND_TIMES[keyword](value)
    except MALFORMED:
        return False
    return keyword != "PatientSex" or value in SEXES
