"""DICOM CT with DICOM Segmentations, as this system writes them and as viewers correct them.

A Segmentation belongs to the slices that its frames refer to (PS3.3 C.7.6.16.2.1.3). What kind of
blood a segment is, its label, its property type or its region says (C.8.20.4). A mask that only an
algorithm has drawn is an answer, not the truth.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from schema.dicom import ANALYSED_CLASSES
from schema.errors import TriageError
from schema.hemorrhage_subtypes import INTRACRANIAL, SUBTYPES
from trainer.datasets.description import Description
from trainer.datasets.slices import DataError, Source
from trainer.datasets.volumes import Scan
from worker.munet.card import CLASSES
from worker.slices import Stack, read_series, read_stack

# Segmentation and Label Map Segmentation Storage (PS3.4 annex B.5).
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
# What else readers call the types in a Segment Label.
WORDS = {
    "EDH": ("epidural", "extradural"),
    "IPH": ("intraparenchymal", "intracerebral", "parenchymal"),
    "IVH": ("intraventricular",),
    "SAH": ("subarachnoid",),
    "SDH": ("subdural",),
}
Place = tuple[str, int]  # SOP Instance UID and frame number


@dataclass(frozen=True)
class DicomVolume:
    """A CT series in the order of its stack, and the Segmentation of it that counts."""

    paths: tuple[Path, ...]
    segmentation: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that it is read from."""
        return (*self.paths, self.segmentation) if self.segmentation else self.paths

    @property
    def naming(self) -> tuple[tuple[int, int], ...]:
        """Nothing: a segment says of itself what it is."""
        return ()

    def hu(self, plane: int) -> npt.NDArray[np.float32]:
        """HU of a plane, (row, column)."""
        frame: npt.NDArray[np.float32] = _hu(self.paths)[plane]
        return frame

    def kinds(self, plane: int) -> npt.NDArray[np.uint8]:
        """Type of each pixel of a plane, (row, column)."""
        frame: npt.NDArray[np.uint8] = _kinds(self.paths, self.segmentation)[plane]
        return frame


@dataclass(frozen=True)
class Found:
    """A file and its header without pixels."""

    path: Path
    header: Dataset


def is_dicom(data: Path) -> bool:
    """Whether a folder holds any DICOM file."""
    return any(True for _ in _headers(data))


def read_dicom(folder: Path, described: Description) -> tuple[list[Scan], list[str]]:
    """Index all CT series below a folder with their Segmentations.

    Returns
    -------
    scans, problems
        What was left out, and why.

    Raises
    ------
    DataError
        No series is left.
    """
    series: dict[str, list[Found]] = defaultdict(list)
    masks: dict[str, list[Found]] = defaultdict(list)
    for found in _headers(folder):
        if found.header.SOPClassUID in SEGMENTATIONS:
            masks[_segmented_series(found.header)].append(found)
        elif found.header.SOPClassUID in ANALYSED_CLASSES:
            series[str(found.header.get("SeriesInstanceUID"))].append(found)
    problems = [
        f"{found.path}: segments a CT series that is not here, left out; copy the series too"
        for uid in sorted(set(masks) - set(series))
        for found in masks[uid]
    ]
    outlined = {found.header.get("PatientID") for own in masks.values() for found in own}
    scans = []
    for uid, files in sorted(series.items()):
        is_outlined = files[0].header.get("PatientID") in outlined
        made = _scan(files, masks.get(uid, []), described, is_outlined)
        problems += _passed_over(masks.get(uid, []), described)
        if isinstance(made, str):
            problems.append(made)
        else:
            scans.append(made)
    if not scans:
        raise DataError("\n".join((f"{folder}: no CT series has a mask that counts", *problems)))
    return scans, problems


def _headers(folder: Path) -> Iterator[Found]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            try:
                header = dcmread(path, stop_before_pixels=True)
            except (InvalidDicomError, OSError):
                continue  # whatever else lies in the folder
            if "SOPClassUID" in header:
                yield Found(path, header)


def _segmented_series(header: Dataset) -> str:
    referenced = header.get("ReferencedSeriesSequence") or [Dataset()]
    return str(referenced[0].get("SeriesInstanceUID"))


def _scan(
    files: Sequence[Found],
    masks: Sequence[Found],
    described: Description,
    is_outlined: bool,
) -> Scan | str:
    """Read one series' geometry, or say why it is left out.

    Parameters
    ----------
    is_outlined
        Whether any series of its patient has a Segmentation.
    """
    first, paths = files[0], tuple(found.path for found in files)
    if not first.header.get("PatientID"):
        return (
            f"{first.path}: its series has no Patient ID, so it can't be split by patient, left out"
        )
    chosen = _truth(masks, described)
    if chosen is None and (why := _untold(masks, described, is_outlined)):
        return f"{first.path}: {why}, its series is left out"
    try:
        stack = read_stack(paths)
    except TriageError as error:
        return f"{first.path}: its series is no stack, left out: {error}"
    return Scan(
        _source(described, first.header),
        str(first.header.PatientID),
        str(first.header.SeriesInstanceUID),
        DicomVolume(paths, chosen),
        tuple(stack.slice_position_mm.tolist()),
        stack.frames[0].spacing_mm,
    )


def _untold(masks: Sequence[Found], described: Description, is_outlined: bool) -> str:
    """Say why nobody knows whether a series bleeds that has no mask that counts; "": it doesn't."""
    if masks:
        return "nobody has corrected its mask (AUTOMATIC)"
    if described.without_labels == "left out":
        return "it has no Segmentation"
    return "another series of its patient has a Segmentation, it has none" if is_outlined else ""


def _truth(masks: Sequence[Found], described: Description) -> Path | None:
    """Return the newest Segmentation that somebody has drawn or corrected."""
    drawn = [found for found in masks if described.automatic or not _is_automatic(found.header)]
    return max(drawn, key=lambda found: _written(found.header)).path if drawn else None


def _passed_over(masks: Sequence[Found], described: Description) -> list[str]:
    """Name the Segmentations of a series beside the one that counts."""
    chosen = _truth(masks, described)
    return [
        f"{found.path}: passed over, of several Segmentations the newest counts that somebody drew,"
        f" {chosen}; what else bleeds must be saved in that one too"
        for found in masks
        if chosen and found.path != chosen
    ]


def _is_automatic(header: Dataset) -> bool:
    segments = header.get("SegmentSequence", ())
    return all(segment.get("SegmentAlgorithmType") == "AUTOMATIC" for segment in segments)


def _written(header: Dataset) -> tuple[str, str]:
    return str(header.get("ContentDate")), str(header.get("ContentTime"))


def _source(described: Description, header: Dataset) -> Source:
    words = [str(header.get(keyword, "")) for keyword in ("Manufacturer", "ManufacturerModelName")]
    scanner = " ".join(word for word in words if word) or described.scanner
    return Source(described.name, described.licence, described.cite, (scanner,))


@lru_cache(maxsize=1)
def _hu(paths: tuple[Path, ...]) -> npt.NDArray[np.float32]:
    try:
        return read_series(paths).volume.hu
    except TriageError as error:
        raise DataError(
            f"{paths[0]}: its series can't be read; export it again: {error}"
        ) from error


@lru_cache(maxsize=1)
def _kinds(paths: tuple[Path, ...], segmentation: Path | None) -> npt.NDArray[np.uint8]:
    """Type of each voxel of a series, (slice, row, column)."""
    stack = read_stack(paths)
    kinds = np.zeros((len(stack.frames), *stack.size), np.uint8)
    if segmentation is None:
        return kinds
    try:
        seg = hd.seg.segread(segmentation)
        numbers = _numbers(seg, stack)
    except (OSError, ValueError, AttributeError, KeyError, RuntimeError) as error:
        raise DataError(
            f"{segmentation}: can't be laid on its series ({error}); segments must not overlap, and"
            " each frame must refer to its slice: save the Segmentation again"
        ) from error
    for number in np.unique(numbers[numbers > 0]).tolist():
        kinds[numbers == number] = kind_of(seg.get_segment_description(number), segmentation)
    return kinds


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
