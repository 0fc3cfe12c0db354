"""Read the files of one series into a volume that keeps the scanner's geometry."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from schema.errors import (
    GeometryError,
    PixelError,
    SourceFileMissingError,
    UnreadableObjectError,
    UnsuitableSeriesError,
)
from schema.identity import plain_number
from worker.frames import Frame, frames_of, slice_position_mm, stacked, tilt_degrees
from worker.header import MALFORMED, completed, name_of, text, uid
from worker.orientation import sides
from worker.pixels import READABLE, check_size, check_voxels, hounsfield
from worker.unvalidated import unvalidated
from worker.volume import Volume, check_positions

Decoder = Callable[[Path, str, tuple[int, int]], Iterator[npt.NDArray[np.float32]]]
SHARED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID")
FRAME_OF_REFERENCE: Final = "FrameOfReferenceUID"  # type 1, yet de-identified images lack it


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """A series as it was received: its volume, and the headers that results refer to.

    Attributes
    ----------
    volume
        The slices in HU, sorted along the normal.
    headers
        One for each slice in the volume's order, or the single one of a multi-frame object. They
        hold no Pixel Data, and every type 2 attribute that highdicom copies.
    thickness_mm
        (slice,) Slice Thickness, NaN where it is not known.
    sides
        What lies at the left, right, top and bottom of every slice.
    """

    volume: Volume
    headers: tuple[Dataset, ...]
    thickness_mm: npt.NDArray[np.float64]
    sides: Mapping[str, str]

    @property
    def is_multi_frame(self) -> bool:
        """Whether all slices come from one Enhanced CT object."""
        return len(self.headers) == 1

    @property
    def study_instance_uid(self) -> str:
        """The study that all slices belong to."""
        return str(self.headers[0].StudyInstanceUID)

    @property
    def series_instance_uid(self) -> str:
        """The series that all slices belong to."""
        return str(self.headers[0].SeriesInstanceUID)


@dataclass(frozen=True, eq=False)
class _Source:
    """A file, its header and its frames in the order of the file."""

    path: Path
    header: Dataset
    frames: tuple[Frame, ...]


@dataclass(frozen=True, eq=False)
class Stack:
    """The headers of one series, checked and in order, before any pixel is decoded.

    Attributes
    ----------
    size
        Rows and columns, the same for every frame.
    frames
        In the order of the stack.
    slice_position_mm
        (slice,) rising positions along the normal.
    """

    sources: tuple[_Source, ...]
    size: tuple[int, int]
    frames: tuple[Frame, ...]
    slice_position_mm: npt.NDArray[np.float64]

    @property
    def volume_bytes(self) -> int:
        """What its volume takes in memory."""
        return len(self.frames) * self.size[0] * self.size[1] * np.dtype(np.float32).itemsize

    @property
    def place(self) -> dict[Frame, int]:
        """Where each frame lies in the stack."""
        return {frame: index for index, frame in enumerate(self.frames)}


def read_series(
    paths: Sequence[Path], decoder: Decoder | None = None, most_bytes: int | None = None
) -> SourceSeries:
    """Read a series, in any order of its files.

    Headers are read and checked before any pixel is decoded, so what cannot be analysed is refused
    within the time of a directory listing.

    Parameters
    ----------
    paths
        One file for each SOP instance.
    decoder
        What turns a file into frames; `decode` in this very process unless another is given.
    most_bytes
        What the volume may take in memory, where that is less than `worker.pixels` allows.

    Raises
    ------
    SourceFileMissingError
        A file is not there (yet); worth another try.
    UnreadableObjectError
        A file is no DICOM, or lacks a UID.
    GeometryError
        The slices form no stack: mixed, doubled or non-finite geometry.
    PixelError
        The pixels of a slice cannot be decoded or are no Hounsfield units.
    MemoryError
        The volume would take more than `most_bytes`.
    """
    if not paths:
        raise GeometryError("a series without files; send it again")
    with unvalidated():  # values are checked here; pydicom's warnings print them
        stack = read_stack(paths)
        if most_bytes is not None and stack.volume_bytes > most_bytes:
            raise MemoryError(f"{stack.volume_bytes} bytes are more than {most_bytes}")
        return _read_volume(stack, decoder or decode)


def read_stack(paths: Sequence[Path]) -> Stack:
    """Read and check the headers of a series; raises what `read_series` raises of them."""
    sources = tuple(_read_header(path) for path in paths)
    size = _check_alike(sources)
    frames = stacked(tuple(frame for source in sources for frame in source.frames))
    positions = slice_position_mm(frames)
    check_positions(positions, [frame.name for frame in frames])
    return Stack(sources, size, frames, positions)


def _read_volume(stack: Stack, decoder: Decoder) -> SourceSeries:
    frames = stack.frames
    volume = Volume(
        hu=_read_pixels(stack, decoder),
        slice_position_mm=stack.slice_position_mm,
        spacing_mm=frames[0].spacing_mm,
        tilt_degrees=tilt_degrees(frames),
        sop_instance_uids=tuple(frame.sop_instance_uid for frame in frames),
        frame_numbers=tuple(frame.number for frame in frames),
    )
    thickness_mm = np.array([frame.thickness_mm for frame in frames])
    headers = _in_order(stack.sources, frames)
    return SourceSeries(volume, headers, thickness_mm, sides(frames[0].orientation))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say of a file that is missing or no DICOM what it is.

    The name is safe to log: the receiver derives it from the UID, never from the patient.
    """
    try:
        yield
    except MALFORMED as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not pydicom's
            raise SourceFileMissingError(
                f"{path.name}: {error.strerror}; check that the storage is mounted"
            ) from error
        raise UnreadableObjectError(
            "an image of the series is no DICOM that can be read; send the series again",
            detail=f"{path.name}: no DICOM that can be read: {type(error).__name__}",
        ) from error


def _read_header(path: Path) -> _Source:
    with _reading(path):
        # Before the header itself: one of a deflated object may inflate without end.
        syntax = UID(read_file_meta_info(path).TransferSyntaxUID)
        if syntax not in READABLE:
            raise PixelError(
                f"an image of the series has the transfer syntax {syntax.name}, which is deflated,"
                " lossy or no CT's; send it uncompressed or without loss",
                detail=f"{path.name}: transfer syntax {syntax.name}",
            )
        with path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True)
    check_size(header)
    for keyword in SHARED:
        uid(header, keyword)
    if header.get(FRAME_OF_REFERENCE):
        uid(header, FRAME_OF_REFERENCE)
    return _Source(path, header, frames_of(header))


def _check_alike(sources: Sequence[_Source]) -> tuple[int, int]:
    """Return rows and columns, the same for all sources of one stack."""
    first = sources[0].header
    seen = {str(first.SOPInstanceUID)}
    for source in sources[1:]:
        if source.header.SOPInstanceUID in seen:
            raise GeometryError(f"{name_of(source.header)}: is in two files; send it once")
        seen.add(str(source.header.SOPInstanceUID))
        for keyword in (*SHARED, FRAME_OF_REFERENCE, "Rows", "Columns"):
            if source.header.get(keyword) != first.get(keyword):
                raise GeometryError(
                    f"{name_of(first)} and {name_of(source.header)} differ in {keyword}; send each"
                    " reconstruction as its own series"
                )
    _require_one_patient(sources)
    if len(sources) > 1 and any(len(source.frames) > 1 for source in sources):
        raise UnsuitableSeriesError(
            f"{name_of(first)}: one of {len(sources)} multi-frame objects; this system reads a"
            " series of single frames or one multi-frame object"
        )
    check_voxels(sum(len(s.frames) for s in sources) * first.Rows * first.Columns, name_of(first))
    return int(first.Rows), int(first.Columns)


def _require_one_patient(sources: Sequence[_Source]) -> None:
    """Refuse half of a correction: what is made of one slice must be true of all of them.

    The receiver tells people apart by more than the number, and takes the one for the other where
    a correction proves it; until all slices came again, results would name either.
    """
    written = ("".join(text(source.header, "PatientID")) for source in sources)
    if len({plain_number(patient_id) for patient_id in written} - {""}) > 1:
        raise UnsuitableSeriesError(
            "its images bear different Patient IDs; send the whole series again under the right one"
        )


def _read_pixels(stack: Stack, decoder: Decoder) -> npt.NDArray[np.float32]:
    """Decode every frame into its place in the stack, (slice, row, column) HU."""
    place = stack.place
    hu = np.empty((len(stack.frames), *stack.size), np.float32)
    for source in stack.sources:
        pictures = decoder(source.path, str(source.header.SOPInstanceUID), stack.size)
        for frame, picture in zip(source.frames, pictures, strict=True):
            hu[place[frame]] = picture
    return hu


def decode(
    path: Path, sop_instance_uid: str, _size: tuple[int, int] | None = None
) -> Iterator[npt.NDArray[np.float32]]:
    """Yield an object's frames in HU, in the order of the file, each (row, column) float32.

    Raises
    ------
    SourceFileMissingError, UnreadableObjectError
        The file is not there, or no DICOM.
    PixelError
        Its pixels cannot be decoded.
    """
    with unvalidated():
        with _reading(path), path.open("rb") as file:
            ds = dcmread(file)
        if ds.get("SOPInstanceUID") != sop_instance_uid:
            # pydicom keeps nothing of an object whose compressed pixels end early.
            raise PixelError(
                f"SOP instance {sop_instance_uid}: its Pixel Data ends early; send it again"
            )
        yield from hounsfield(ds, frames_of(ds))


def _in_order(sources: Sequence[_Source], frames: Sequence[Frame]) -> tuple[Dataset, ...]:
    """Headers in the order of the stack, ready for highdicom; one for a multi-frame object."""
    headers = {source.frames[0].sop_instance_uid: completed(source.header) for source in sources}
    order = dict.fromkeys(frame.sop_instance_uid for frame in frames)
    return tuple(headers[sop_instance_uid] for sop_instance_uid in order)
