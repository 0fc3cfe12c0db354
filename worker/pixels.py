"""From a CT object's bytes to Hounsfield units, distrusting what its header declares."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from schema.errors import PixelError
from worker.frames import MOST_FRAMES, Frame
from worker.header import MALFORMED, name_of, whole_number

AIR_HU: Final = -1024.0
BRIGHTEST_HU: Final = 3071.0
LONGEST_SIDE: Final = 4096
MOST_VOXELS: Final = 2**29  # 2 GiB as float32: 2000 frames of 512 x 512, 500 of 1024 x 1024

NATIVE: Final = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
# All lossless. Deflated is absent on purpose: its header can't be read without inflating a bomb.
READABLE: Final = (
    *NATIVE,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
)


# pylibjpeg-rle answers a damaged frame with a Rust panic, a BaseException that would end the
# worker; pydicom's own decoder takes 7 ms for a 512 x 512 slice and raises a ValueError.
RLE_DECODER: Final = "pydicom"


def check_size(ds: Dataset) -> tuple[int, int, int]:
    """Return frames, rows and columns if they are what a head CT can have.

    Called on the header alone: a file of 2 kB can declare 30,000 x 30,000 pixels.

    Raises
    ------
    PixelError
        The declared size is missing or beyond the limits.
    """
    rows = whole_number(ds, "Rows", 1, LONGEST_SIDE)
    columns = whole_number(ds, "Columns", 1, LONGEST_SIDE)
    frames = whole_number(ds, "NumberOfFrames", 1, MOST_FRAMES, default=1)
    check_voxels(frames * rows * columns, name_of(ds))
    return frames, rows, columns


def check_voxels(voxels: int, where: str) -> None:
    """Refuse more voxels than a worker may allocate."""
    if voxels > MOST_VOXELS:
        raise PixelError(
            f"{where}: {voxels} voxels, the limit is {MOST_VOXELS}; send a thicker reconstruction"
        )


def hounsfield(ds: Dataset, frames: tuple[Frame, ...]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield each frame of a CT object in HU, (row, column) float32, -1024 ... 3071.

    Parameters
    ----------
    ds
        The whole object, with Pixel Data.
    frames
        Its frames in the order of the file.

    Raises
    ------
    PixelError
        The bytes do not match the declared size, or no decoder can read them.
    """
    _check_length(ds)
    layout = _layout(ds)
    padding = _padding(ds, layout)
    count = 0
    for frame, raw in zip(frames, _decoded(ds), strict=False):
        count += 1
        stored = _stored_values(raw, layout)
        yield _to_hu(stored, frame, padding)
    if count != len(frames):
        raise PixelError(f"{name_of(ds)}: {count} frames came out of {len(frames)}; send it again")


def _check_length(ds: Dataset) -> None:
    frames, rows, columns = check_size(ds)
    length = _pixel_bytes(ds)
    if ds.file_meta.TransferSyntaxUID not in NATIVE:
        return  # the decoder compares each frame with the declared size
    expected = frames * rows * columns * whole_number(ds, "BitsAllocated", 8, 16) // 8
    if length not in (expected, expected + expected % 2):  # padded to an even length
        raise PixelError(
            f"{name_of(ds)}: Pixel Data has {length} bytes, {frames} frames of {rows} x"
            f" {columns} need {expected}; send it again"
        )


def _pixel_bytes(ds: Dataset) -> int:
    try:
        return len(ds.PixelData)
    except MALFORMED as error:
        raise PixelError(f"{name_of(ds)}: has no Pixel Data; send it again") from error


def _decoded(ds: Dataset) -> Iterator[npt.NDArray[np.generic]]:
    """Yield the frames' decoded values, each (row, column); 12 bits may sit in 16 unextended."""
    shape = (int(ds.Rows), int(ds.Columns))
    plugin = RLE_DECODER if ds.file_meta.TransferSyntaxUID == RLELossless else ""
    try:
        for raw in iter_pixels(ds, raw=True, decoding_plugin=plugin):
            if raw.shape != shape:
                raise PixelError(f"{name_of(ds)}: decodes to {raw.shape}, declares {shape}")
            yield raw
    except MALFORMED as error:
        said = str(error).splitlines()[0] if str(error) else ""
        raise PixelError(
            f"{name_of(ds)}: its pixels cannot be decoded; send it again",
            detail=f"{name_of(ds)}: cannot be decoded: {type(error).__name__}: {said}",
        ) from error


def _layout(ds: Dataset) -> tuple[int, bool]:
    """Bits stored, and whether they are signed (PS3.5 8.1.1)."""
    allocated = whole_number(ds, "BitsAllocated", 8, 16)
    stored = whole_number(ds, "BitsStored", 1, allocated)
    whole_number(ds, "HighBit", stored - 1, stored - 1)
    return stored, bool(whole_number(ds, "PixelRepresentation", 0, 1))


def _stored_values(
    raw: npt.NDArray[np.generic] | int, layout: tuple[int, bool]
) -> npt.NDArray[np.int32]:
    """Keep the stored bits alone, with their sign; overlays once lived in the bits above."""
    stored, signed = layout
    values = np.asarray(raw).astype(np.int32) & ((1 << stored) - 1)
    if signed:
        values = values - ((values >> (stored - 1)) << stored)
    return np.asarray(values, np.int32)


def _padding(ds: Dataset, layout: tuple[int, bool]) -> tuple[int, int] | None:
    """Lowest and highest stored value that is padding, not tissue (PS3.3 C.7.5.1.1.2).

    Both have VR US or SS by Pixel Representation; senders get that wrong, so the bits decide.
    """
    if ds.get("PixelPaddingValue") is None:
        return None
    limits = [whole_number(ds, "PixelPaddingValue", -(2**15), 2**16 - 1)]
    if ds.get("PixelPaddingRangeLimit") is not None:
        limits.append(whole_number(ds, "PixelPaddingRangeLimit", -(2**15), 2**16 - 1))
    values = [int(_stored_values(limit, layout)) for limit in limits]
    return min(values), max(values)


def _to_hu(
    stored: npt.NDArray[np.int32], frame: Frame, padding: tuple[int, int] | None
) -> npt.NDArray[np.float32]:
    hu = stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
    if padding is not None:
        hu[(stored >= padding[0]) & (stored <= padding[1])] = AIR_HU
    np.clip(hu, AIR_HU, BRIGHTEST_HU, out=hu)
    return np.asarray(hu, np.float32)
