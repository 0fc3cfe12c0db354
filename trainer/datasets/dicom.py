"""DICOM CT with DICOM Segmentations, as this system writes them and as viewers correct them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from schema.dicom import ANALYSED_CLASSES
from schema.errors import TriageError
from trainer.datasets.description import Description
from trainer.datasets.plain_heads import unsuited
from trainer.datasets.segmentation import kinds_of_series
from trainer.datasets.slices import DataError, Source
from trainer.datasets.truth import Found, remarks, truth, untold
from trainer.datasets.volumes import Scan
from worker.face_up import turned, turns_up
from worker.orientation import sides
from worker.slices import read_series, read_stack

# Segmentation and Label Map Segmentation Storage (PS3.4 annex B.5).
SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


@dataclass(frozen=True)
class DicomVolume:
    """A CT series in the order of its stack, and the Segmentation of it that counts.

    Its planes come out with the face up, as the worker gives them to the network.
    """

    paths: tuple[Path, ...]
    segmentation: Path | None
    turns: int = 0  # by quarters, counter-clockwise

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
        (frame,) = turned(_hu(self.paths)[plane : plane + 1], self.turns)
        return np.asarray(frame)

    def kinds(self, plane: int) -> npt.NDArray[np.uint8]:
        """Type of each pixel of a plane, (row, column)."""
        kinds = kinds_of_series(self.paths, self.segmentation)
        (frame,) = turned(kinds[plane : plane + 1], self.turns)
        return np.asarray(frame)


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
        problems += remarks(masks.get(uid, []), described)
        if isinstance(made, str):
            problems.append(made)
        else:
            scans.append(made)
    problems += _several(scan for scan in scans if scan.person not in outlined)
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
    chosen = truth(masks, described)
    if chosen is None and (why := untold(masks, described, is_outlined)):
        return f"{first.path}: {why}, its series is left out"
    try:
        stack = read_stack(paths)
    except TriageError as error:
        return f"{first.path}: its series is no stack, left out: {error}"
    if why := unsuited([found.header for found in files], stack, chosen is not None):
        return f"{first.path}: {why}, its series is left out"
    turns = turns_up(sides(stack.frames[0].orientation))
    rows_mm, columns_mm = stack.frames[0].spacing_mm
    return Scan(
        _source(described, first.header),
        str(first.header.PatientID),
        str(first.header.SeriesInstanceUID),
        DicomVolume(paths, chosen, turns),
        tuple(stack.slice_position_mm.tolist()),
        (columns_mm, rows_mm) if turns % 2 else (rows_mm, columns_mm),
    )


def _several(healthy: Iterable[Scan]) -> list[str]:
    """Name patients of whom several series teach what a healthy head is."""
    by_person: dict[str, list[str]] = defaultdict(list)
    for scan in healthy:
        by_person[scan.person].append(str(scan.volume.files[0]))
    return [
        f"{', '.join(own)}: {len(own)} series of one patient without a Segmentation, all taken as"
        " healthy; take away those that are no plain head, such as in a bone kernel"
        for own in by_person.values()
        if len(own) > 1
    ]


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
