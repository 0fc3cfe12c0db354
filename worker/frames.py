"""Where each frame of a CT object lies and how its stored values become HU.

One frame for CT Image Storage, many for Enhanced CT Image Storage, whose geometry and rescale sit
in functional groups (PS3.3 C.7.6.16).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage

from schema.dicom import MULTI_ENERGY_MAPS, may_be_hounsfield
from schema.errors import GeometryError, PixelError, UnsuitableSeriesError
from worker.header import MALFORMED, length_mm, name_of, numbers, text, uid, whole_number

MOST_FRAMES: Final = 2000
SAME_DIRECTION: Final = 1e-3  # cosines are written with few digits
# Each slice of a series that was selected may differ by that from one that stands for all.
ANY_TWO: Final = 2 * SAME_DIRECTION


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice in its file: position, orientation, measures and rescale."""

    sop_instance_uid: str
    number: int  # from 1
    image_position_mm: npt.NDArray[np.float64]  # (3,) Image Position (Patient)
    orientation: npt.NDArray[np.float64]  # (2, 3) direction of a row, of a column
    spacing_mm: tuple[float, float]  # between rows, between columns
    slope: float
    intercept: float
    thickness_mm: float  # Slice Thickness, NaN where it is not known

    def __post_init__(self) -> None:
        """Refuse directions that are no plane and a rescale that gives no HU."""
        if not np.allclose(self.orientation @ self.orientation.T, np.eye(2), atol=SAME_DIRECTION):
            raise GeometryError(
                f"{self.name}: Image Orientation (Patient) {self.orientation.ravel().tolist()} is"
                " not two perpendicular unit vectors; send it again"
            )
        if min(self.spacing_mm) <= 0:
            raise GeometryError(f"{self.name}: Pixel Spacing {self.spacing_mm} is not above 0")
        if self.slope == 0:
            raise PixelError(f"{self.name}: Rescale Slope 0 gives no Hounsfield units")

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"SOP instance {self.sop_instance_uid} frame {self.number}"

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """(3,) unit vector across the slice, turned towards the head as the receiver turns it.

        Row direction x column direction points to the feet where a picture is mirrored, and "from
        below" would be from above. The slices of a coronal or sagittal series, which the selection
        refuses, have no lower end.
        """
        normal = np.cross(self.orientation[0], self.orientation[1])
        upwards = -normal if normal[2] < 0 else normal
        return np.asarray(upwards / np.linalg.norm(normal))


def frames_of(ds: Dataset) -> tuple[Frame, ...]:
    """Read every frame's place and rescale from a header.

    Raises
    ------
    UnsuitableSeriesError
        The object is no CT, holds no HU, or lacks or garbles an attribute; the message names it.
    """
    _check_kind(ds)
    count = whole_number(ds, "NumberOfFrames", 1, MOST_FRAMES, default=1)
    if ds.SOPClassUID == CTImageStorage:
        if count > 1:
            raise PixelError(f"{name_of(ds)}: {count} frames in a single-frame object")
        return (_frame(ds, 1, (ds, ds, ds, ds)),)
    return tuple(_enhanced_frame(ds, number) for number in range(1, count + 1))


def _check_kind(ds: Dataset) -> None:
    if ds.get("SOPClassUID") not in (CTImageStorage, EnhancedCTImageStorage):
        raise UnsuitableSeriesError(f"{name_of(ds)}: no CT image; send the CT series")
    photometric = text(ds, "PhotometricInterpretation")
    if photometric != ("MONOCHROME2",) or whole_number(ds, "SamplesPerPixel", 1, 4) != 1:
        raise PixelError(
            f"{name_of(ds)}: photometric interpretation {photometric or 'missing'} is no CT image"
            " in Hounsfield units (MONOCHROME2); send the original series"
        )
    _check_energy(text(ds, "ImageType"), name_of(ds))


def _check_energy(image_type: tuple[str, ...], where: str) -> None:
    maps = MULTI_ENERGY_MAPS & set(image_type)
    if maps:
        raise PixelError(
            f"{where}: {', '.join(sorted(maps))} is a multi-energy map, not Hounsfield units;"
            " send the conventional series"
        )


def _enhanced_frame(ds: Dataset, number: int) -> Frame:
    frame_type = _functional_group(ds, number, "CTImageFrameTypeSequence")
    _check_energy(text(frame_type, "FrameType"), f"{name_of(ds)} frame {number}")
    groups = (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    )
    found = [_functional_group(ds, number, keyword) for keyword in groups]
    return _frame(ds, number, (found[0], found[1], found[2], found[3]))


def _functional_group(ds: Dataset, number: int, keyword: str) -> Dataset:
    """Return a functional group's item: the frame's own, else the shared one."""
    try:
        for holder in (
            ds.PerFrameFunctionalGroupsSequence[number - 1],
            ds.SharedFunctionalGroupsSequence[0],
        ):
            if keyword in holder:
                item: Dataset = holder[keyword].value[0]
                return item
    except MALFORMED as error:
        raise GeometryError(
            f"{name_of(ds)} frame {number}: its functional groups cannot be read; send it again"
        ) from error
    raise GeometryError(f"{name_of(ds)} frame {number}: has no {keyword}; send it again")


def _frame(ds: Dataset, number: int, parts: tuple[Dataset, Dataset, Dataset, Dataset]) -> Frame:
    """Build a frame from the items that hold position, orientation, measures and rescale."""
    position, orientation, measures, rescale = parts
    where = f"{name_of(ds)} frame {number}"
    kind = " ".join(text(rescale, "RescaleType"))
    if not may_be_hounsfield(kind):
        raise PixelError(f"{where}: Rescale Type is {kind!r}, not HU; send the original series")
    spacing = numbers(measures, "PixelSpacing", 2, where)
    return Frame(
        sop_instance_uid=uid(ds, "SOPInstanceUID"),
        number=number,
        image_position_mm=numbers(position, "ImagePositionPatient", 3, where),
        orientation=numbers(orientation, "ImageOrientationPatient", 6, where).reshape(2, 3),
        spacing_mm=(float(spacing[0]), float(spacing[1])),
        slope=float(_rescale(rescale, "RescaleSlope", where)),
        intercept=float(_rescale(rescale, "RescaleIntercept", where)),
        thickness_mm=length_mm(measures, "SliceThickness") or float("nan"),
    )


def _rescale(ds: Dataset, keyword: str, where: str) -> float:
    try:
        return float(numbers(ds, keyword, 1, where)[0])
    except GeometryError as error:
        raise PixelError(str(error)) from error


def stacked(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Sort frames along their common normal, towards the head.

    By position alone (PS3.3 C.7.6.2.1.1): instance numbers, slice locations and file names may run
    backwards, restart or repeat.

    Raises
    ------
    GeometryError
        Orientation or pixel spacing differ between frames.
    """
    first = frames[0]
    for other in frames[1:]:
        if not np.allclose(other.orientation, first.orientation, atol=ANY_TWO):
            raise GeometryError(
                f"{first.name} and {other.name} differ in orientation, as when a localizer is in"
                " the series; send the axial slices as their own series"
            )
        if not np.allclose(other.spacing_mm, first.spacing_mm, rtol=SAME_DIRECTION):
            raise GeometryError(
                f"{first.name} and {other.name} differ in pixel spacing, {first.spacing_mm} and"
                f" {other.spacing_mm} mm; send each reconstruction as its own series"
            )
    return tuple(sorted(frames, key=lambda frame: float(frame.image_position_mm @ first.normal)))


def slice_position_mm(frames: tuple[Frame, ...]) -> npt.NDArray[np.float64]:
    """Positions along the normal of the first frame, (slice,)."""
    return np.array([frame.image_position_mm for frame in frames]) @ frames[0].normal


def tilt_degrees(frames: tuple[Frame, ...]) -> float:
    """Angle between the normal and the line from the first slice to the last.

    The gantry's tilt when the table moved along the patient; 0 for an oblique reformat, whose
    slices are stacked along their normal.
    """
    line = frames[-1].image_position_mm - frames[0].image_position_mm
    cosine = float(line @ frames[0].normal) / max(float(np.linalg.norm(line)), 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
