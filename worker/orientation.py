"""What lies where in a picture, and one orientation for slices whose own differ by a rounding."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

# Functional groups that highdicom reads from the shared item alone (PS3.3 C.7.6.16.2).
SHARED_GROUPS = ("PlaneOrientationSequence", "PixelMeasuresSequence")
SIDES: Final = ("RL", "AP", "FH")  # towards lower and higher x, y and z (PS3.3 C.7.6.1.1.1)


def sides(orientation: npt.NDArray[np.float64]) -> dict[str, str]:
    """Say what lies at the left, right, top and bottom of the picture.

    Parameters
    ----------
    orientation
        (2, 3) direction of a row and of a column in the patient (PS3.3 C.7.6.2.1.1).
    """
    found: dict[str, str] = {}
    for vector, names in zip(orientation, (("left", "right"), ("top", "bottom")), strict=True):
        axis = int(np.argmax(np.abs(vector)))
        ends = SIDES[axis] if vector[axis] > 0 else SIDES[axis][::-1]
        found |= dict(zip(names, ends, strict=True))
    return found


def with_shared_orientation(headers: Sequence[Dataset]) -> list[Dataset]:
    """Return headers that all have the first one's Image Orientation (Patient), for highdicom.

    Some scanners compute the cosines anew for each slice, and those differ in the fifth to the
    ninth digit. `worker.frames.stacked` has refused what differs by more than 0.002, and measured
    every position along the first slice's normal: with the same orientation a result lies where the
    volume does. At the tolerance's limit a corner of a head's frame moves by half a millimetre, a
    pixel.

    Parameters
    ----------
    headers
        One a slice in the order of the volume, or the single one of a multi-frame object. They stay
        as they are; what needs a change is copied.
    """
    if len(headers) == 1:
        return [_with_shared_groups(headers[0])]
    common = headers[0].ImageOrientationPatient
    return [headers[0], *(_oriented(header, common) for header in headers[1:])]


def _oriented(header: Dataset, common: object) -> Dataset:
    if header.ImageOrientationPatient == common:
        return header
    copy = _copied(header)
    # A new element: assigning to the copy's would change the header's, which it shares.
    copy["ImageOrientationPatient"] = DataElement("ImageOrientationPatient", "DS", list(common))  # type: ignore[call-overload]
    return copy


def _with_shared_groups(header: Dataset) -> Dataset:
    """Move what each frame states for itself to the shared item, from the first frame."""
    if "PerFrameFunctionalGroupsSequence" not in header:
        return header
    own = header.PerFrameFunctionalGroupsSequence[0]
    shared = _copied(header.SharedFunctionalGroupsSequence[0])
    missing = [keyword for keyword in SHARED_GROUPS if keyword not in shared and keyword in own]
    if not missing:
        return header
    for keyword in missing:
        shared[keyword] = own[keyword]
    copy = _copied(header)
    copy["SharedFunctionalGroupsSequence"] = DataElement(
        "SharedFunctionalGroupsSequence", "SQ", [shared]
    )
    return copy


def _copied(ds: Dataset) -> Dataset:
    copy = Dataset()
    copy.update(ds)
    if hasattr(ds, "file_meta"):
        copy.file_meta = ds.file_meta
    return copy
