"""`python -m worker.viewing`: the process in which a page's slices are made ready.

The worklist starts it for one series and reads its standard output: a line of JSON that describes
the stack, then each slice as it is decoded, compressed for the browser. It knows no database, and
no page knows what it imports: the two agree on these bytes alone.

A slice is (row, column) int16 HU, little endian, followed by (row, column) uint8 segment numbers,
both in gzip. The order is that of the files; each slice says its place in the stack.
"""

import gzip
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from schema.errors import PixelError, TriageError
from schema.files import MEGABYTE
from worker.decode_child import limit, timed
from worker.header import MALFORMED
from worker.orientation import sides
from worker.slices import Stack, decode, read_stack
from worker.unvalidated import unvalidated
from worker.volume import find_gaps, slice_heights_mm

LEVEL: Final = 1  # of gzip: a third of the size in a few milliseconds
Place = tuple[str, int]  # SOP Instance UID and frame number
Labels = Mapping[Place, npt.NDArray[np.uint8]]


def main(memory_bytes: int, limit_s: float) -> None:
    """Answer the one request on standard input."""
    limit(memory_bytes)
    out = sys.stdout.buffer
    try:
        with unvalidated():
            show(json.loads(sys.stdin.buffer.read()), out, limit_s)
    except TriageError as error:
        _send(out, "error", str(error).encode())
    except MemoryError:
        reason = f"its pixels need more than TRIAGE_DECODE_MEMORY_MB={memory_bytes // MEGABYTE}"
        _send(out, "error", reason.encode())
    out.flush()


def show(request: Mapping[str, Any], out: BinaryIO, limit_s: float) -> None:
    """Send a series: `stack`, a `slice` for each and `end`.

    Parameters
    ----------
    request
        `paths` of the series; `segmentation`, the path of what was drawn on it, or null.
    """
    stack = read_stack([Path(path) for path in request["paths"]])
    drawn = request["segmentation"]
    labels = read_labels(Path(drawn), stack.size) if drawn else {}
    _send(out, "stack", json.dumps(describe(stack, labels)).encode())
    none = np.zeros(stack.size, np.uint8).tobytes()
    for place, hu in _decoded(stack, limit_s):
        own = labels.get(stack_place(stack, place))
        blood = none if own is None else own.tobytes()
        packed = gzip.compress(np.rint(hu).astype("<i2").tobytes() + blood, LEVEL, mtime=0)
        _send(out, f"slice {place}", packed)
    _send(out, "end", b"")


def _decoded(stack: Stack, limit_s: float) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Yield each frame in HU with its place in the stack."""
    places = stack.place
    for source in stack.sources:
        pictures = timed(decode(source.path, str(source.header.SOPInstanceUID)), limit_s)
        for frame, hu in zip(source.frames, pictures, strict=True):
            yield places[frame], hu


def describe(stack: Stack, labels: Labels) -> dict[str, Any]:
    """Say what the viewer needs to know of a stack before its first slice."""
    positions, spacing_mm = stack.slice_position_mm, stack.frames[0].spacing_mm
    pixel_ml = spacing_mm[0] * spacing_mm[1] / 1000
    drawn = [labels.get(stack_place(stack, index)) for index in range(len(positions))]
    pixels = [0 if mask is None else np.count_nonzero(mask) for mask in drawn]
    return {
        "rows": stack.size[0],
        "columns": stack.size[1],
        "spacing_mm": spacing_mm,
        "position_mm": np.round(positions, 2).tolist(),
        "gaps": [gap.after_slice for gap in find_gaps(positions)],
        "blood_ml": np.round(np.array(pixels) * slice_heights_mm(positions) * pixel_ml, 3).tolist(),
        "sides": sides(stack.frames[0].orientation),
    }


def stack_place(stack: Stack, index: int) -> Place:
    """Name a slice of the stack as a Segmentation does."""
    frame = stack.frames[index]
    return frame.sop_instance_uid, frame.number


def read_labels(path: Path, size: tuple[int, int]) -> Labels:
    """Read a Segmentation of ours into (row, column) segment numbers for each slice it covers.

    Raises
    ------
    PixelError
        It is not there, no Segmentation, or of another size.
    """
    try:
        return _labels(dcmread(path), size)
    except (OSError, *MALFORMED) as error:
        raise PixelError(f"segmentation {path.name}: {type(error).__name__}") from error


def _labels(ds: Dataset, size: tuple[int, int]) -> Labels:
    found: dict[Place, npt.NDArray[np.uint8]] = {}
    frames = iter_pixels(ds, raw=True)
    for groups, mask in zip(ds.PerFrameFunctionalGroupsSequence, frames, strict=True):
        if mask.shape != size:
            raise PixelError(f"its segmentation has {mask.shape}, the series {size}")
        segment = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        image = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = (str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber") or 1))
        found.setdefault(place, np.zeros(size, np.uint8))[mask > 0] = int(segment)
    return found


def _send(out: BinaryIO, what: str, content: bytes) -> None:
    out.write(f"{what} {len(content)}\n".encode() + content)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(int(sys.argv[1]), float(sys.argv[2]))
