"""To the network's square grid and back to the source's, keeping the aspect ratio.

A square box is cut out of the source frame, padded with air where it reaches beyond, and resized.
Both directions align pixel edges, so a mask comes back onto the pixels it was seen on.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Number = TypeVar("Number", np.float32, np.uint8)


@dataclass(frozen=True)
class Box:
    """A square of source pixels. It may reach beyond the frame on any side."""

    top: int
    left: int
    side: int

    @classmethod
    def whole(cls, rows: int, columns: int) -> "Box":
        """Return the smallest square around a whole frame, the frame centred in it."""
        if min(rows, columns) < 1:
            raise ValueError(f"a frame of {rows} x {columns} has no pixels")
        side = max(rows, columns)
        return cls((rows - side) // 2, (columns - side) // 2, side)

    def overlap(self, rows: int, columns: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where box and frame meet: in the frame's pixels, and in the box's."""
        first = max(self.top, 0), max(self.left, 0)
        last = min(self.top + self.side, rows), min(self.left + self.side, columns)
        frame = slice(first[0], last[0]), slice(first[1], last[1])
        inside = (
            slice(first[0] - self.top, last[0] - self.top),
            slice(first[1] - self.left, last[1] - self.left),
        )
        return frame, inside


def resize(picture: npt.NDArray[np.uint8], box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Cut one 8-bit frame (rows, columns), resize it to (size, size); Pillow, as in the paper."""
    square = np.zeros((box.side, box.side), np.uint8)
    frame, inside = box.overlap(picture.shape[0], picture.shape[1])
    square[inside] = picture[frame]
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BILINEAR))


def restore(
    square: npt.NDArray[Number], box: Box, rows: int, columns: int, *, smooth: bool
) -> npt.NDArray[Number]:
    """Bring a map of the square grid back to the source frame; 0 outside the box.

    Parameters
    ----------
    square
        (size, size): a probability map, or labels.
    box
        What was cut out of the frame.
    rows, columns
        The source frame.
    smooth
        Linear interpolation for probabilities; without it the nearest pixel, for labels.
    """
    method = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    cut = cv2.resize(square, (box.side, box.side), interpolation=method)
    made = np.zeros((rows, columns), square.dtype)
    frame, inside = box.overlap(rows, columns)
    made[frame] = cut[inside]
    return made
