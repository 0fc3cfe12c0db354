"""Lay a DICOM Segmentation on the slices that its frames refer to (PS3.3 C.7.6.16.2.1.3).

What kind of blood a segment is, its label, its property type or its region says (C.8.20.4). Where
its planes lie, its frames say as well, and programs write rows from the back or columns from the
left: such a mask is turned; one that lies elsewhere than its slices is refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from schema.hemorrhage_subtypes import INTRACRANIAL, SUBTYPES
from trainer.datasets.slices import DataError
from worker.frames import Frame
from worker.munet.card import CLASSES
from worker.slices import Stack, read_stack

# What else readers call the types in a Segment Label.
WORDS = {
    "EDH": ("epidural", "extradural"),
    "IPH": ("intraparenchymal", "intracerebral", "parenchymal"),
    "IVH": ("intraventricular",),
    "SAH": ("subarachnoid",),
    "SDH": ("subdural",),
}
ALIGNED: Final = np.cos(np.radians(0.5))
HALF_PIXEL: Final = 0.5
ORIENTATION: Final = ("PlaneOrientationSequence", "ImageOrientationPatient")
MEASURES: Final = ("PixelMeasuresSequence", "PixelSpacing")
POSITION: Final = ("PlanePositionSequence", "ImagePositionPatient")
# Step through the rows and through the columns: -1 where they run the other way.
Turn = tuple[int, int]
UNTURNED: Final = (1, 1)


@lru_cache(maxsize=1)
def kinds_of_series(paths: tuple[Path, ...], segmentation: Path | None) -> npt.NDArray[np.uint8]:
    """Type of each voxel of a series, (slice, row, column).

    Raises
    ------
    DataError
        The Segmentation can't be laid on the series, or a segment names no type.
    """
    stack = read_stack(paths)
    kinds = np.zeros((len(stack.frames), *stack.size), np.uint8)
    if segmentation is None:
        return kinds
    try:
        seg = hd.seg.segread(segmentation)
        rows, columns = _turn(seg, stack)
        numbers = _numbers(seg, stack)[:, ::rows, ::columns]
    except (OSError, ValueError, AttributeError, LookupError, RuntimeError) as error:
        raise DataError(
            f"{segmentation}: can't be laid on its series ({error}); segments must not overlap, and"
            " each frame must refer to its slice and lie on it: save the Segmentation again, on the"
            " series as it was scanned"
        ) from error
    for number in np.unique(numbers[numbers > 0]).tolist():
        kinds[numbers == number] = kind_of(seg.get_segment_description(number), segmentation)
    return kinds


def _turn(seg: Dataset, stack: Stack) -> Turn:
    """Say which way the rows and columns of all frames run on their slices.

    Raises
    ------
    ValueError
        A frame lies elsewhere than its slice, or frames run different ways.
    """
    slices = {(frame.sop_instance_uid, frame.number): frame for frame in stack.frames}
    found = {
        _turn_of(seg, index, slices[place], stack.size)
        for index in range(len(seg.PerFrameFunctionalGroupsSequence))
        for place in _places(seg, index)
        if place in slices
    }
    if len(found) > 1:
        raise ValueError("its frames run different ways")
    return found.pop() if found else UNTURNED


def _turn_of(seg: Dataset, index: int, source: Frame, size: tuple[int, int]) -> Turn:
    """Compare what a frame says of its plane with its slice; what it leaves out is the slice's."""
    name, spacing = f"frame {index + 1}", np.array(source.spacing_mm)
    signs = _signs(_stated(seg, index, *ORIENTATION, source.orientation), source.orientation)
    if not signs.all():
        raise ValueError(f"{name} is turned against its slice by its Image Orientation (Patient)")
    drift = np.abs(_stated(seg, index, *MEASURES, spacing) / spacing - 1) * size
    if not (drift <= HALF_PIXEL).all():  # NaN is not either
        raise ValueError(f"{name} has another Pixel Spacing than its slice")
    across_mm = (np.array(size) - 1) * spacing  # down a column, along a row
    corner_mm = source.image_position_mm + ((signs < 0) * across_mm[::-1]) @ source.orientation
    away_mm = np.linalg.norm(_stated(seg, index, *POSITION, corner_mm) - corner_mm)
    if not away_mm <= HALF_PIXEL * spacing.min():
        raise ValueError(f"{name} lies {away_mm:.1f} mm from its slice by its position")
    return int(signs[1]), int(signs[0])


def _signs(
    stated: npt.NDArray[np.float64], orientation: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Say of a row and a column whether they run as the slice's do, 1, the other way, -1, or 0."""
    axes = stated.reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1) * np.linalg.norm(orientation, axis=1)
    cosines = np.sum(axes * orientation, axis=1) / lengths
    return np.where(np.abs(cosines) >= ALIGNED, np.sign(cosines), 0.0)


def _places(seg: Dataset, index: int) -> Iterator[tuple[str, int]]:
    """Name the SOP instances and frames that a frame refers to."""
    for derivation in _group(seg, index, "DerivationImageSequence"):
        for image in derivation.get("SourceImageSequence", ()):
            for number in np.atleast_1d(image.get("ReferencedFrameNumber") or 1).tolist():
                yield str(image.ReferencedSOPInstanceUID), int(number)


def _stated(
    seg: Dataset, index: int, sequence: str, keyword: str, otherwise: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Give the numbers of an attribute in a functional group of a frame."""
    items = _group(seg, index, sequence)
    value = items[0].get(keyword) if items else None
    return np.array(value, np.float64) if value else otherwise


def _group(seg: Dataset, index: int, sequence: str) -> list[Dataset]:
    """Give the items of a functional group: the frame's own, else the shared ones."""
    holders = (seg.PerFrameFunctionalGroupsSequence[index], seg.SharedFunctionalGroupsSequence[0])
    return next((list(holder[sequence].value) for holder in holders if sequence in holder), [])


def _numbers(seg: hd.seg.Segmentation, stack: Stack) -> npt.NDArray[np.uint8]:
    """Segment number of each voxel of the stack, (slice, row, column)."""
    numbers = np.zeros((len(stack.frames), *stack.size), np.uint8)
    referenced = {str(uids[2]) for uids in seg.get_source_image_uids()}
    by_file: dict[str, list[int]] = defaultdict(list)
    for index, frame in enumerate(stack.frames):
        if frame.sop_instance_uid in referenced:
            by_file[frame.sop_instance_uid].append(index)
    if missing := referenced - set(by_file):
        raise ValueError(f"it refers to {len(missing)} slices that are not here")
    if len(stack.sources) == 1 and len(stack.frames) > 1:
        for uid, places in by_file.items():
            numbers[places] = seg.get_pixels_by_source_frame(
                uid,
                [stack.frames[index].number for index in places],
                combine_segments=True,
                ignore_spatial_locations=True,
                assert_missing_frames_are_empty=True,
            )
        return numbers
    places = [index for own in by_file.values() for index in own]
    numbers[places] = seg.get_pixels_by_source_instance(
        list(by_file),
        combine_segments=True,
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    return numbers


def kind_of(segment: Dataset, path: Path) -> int:
    """Type of a segment, 1 ... 5 in the order of CLASSES: by label, property type, then region.

    Raises
    ------
    DataError
        None of them names one of the five types.
    """
    label = str(segment.get("SegmentLabel", ""))
    property_type = _codes(segment.get("SegmentedPropertyTypeCodeSequence", ()))
    regions = _codes(segment.get("AnatomicRegionSequence", ())) - {INTRACRANIAL.value}
    for named in (
        {key for key, words in WORDS.items() if _names(label, key, words)},
        {subtype.key for subtype in SUBTYPES if subtype.finding.value in property_type},
        {subtype.key for subtype in SUBTYPES if subtype.region.value in regions},
    ):
        if len(named) == 1:
            return CLASSES.index(named.pop()) + 1
    raise DataError(
        f"{path}: segment {segment.get('SegmentNumber')} ({label!r}) names none of the five types;"
        f" label it with one of {', '.join(subtype.name for subtype in SUBTYPES)}"
    )


def _names(label: str, key: str, words: Iterable[str]) -> bool:
    return key.lower() in label.lower().split() or any(word in label.lower() for word in words)


def _codes(sequence: Iterable[Mapping[str, str] | Dataset]) -> set[str]:
    return {str(code.get("CodeValue")) for code in sequence}
