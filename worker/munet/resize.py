"""To the network's square grid and back to the source's, keeping the aspect ratio.

The longer side fills the square; the shorter one is centred between bands of air. Both directions
align pixel edges, so a mask comes back onto the pixels it was seen on.
"""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Number = TypeVar("Number", np.float32, np.uint8)


@dataclass(frozen=True)
class Placement:
    """Where a source frame lies within the square: its first row and column, and its size there."""

    top: int
    left: int
    rows: int
    columns: int

    @classmethod
    def of(cls, rows: int, columns: int, size: int) -> "Placement":
        """Place a frame of rows x columns in a square of size x size."""
        if min(rows, columns, size) < 1:
            raise ValueError(f"can't place a frame of {rows} x {columns} in {size} x {size}")
        scale = size / max(rows, columns)
        height, width = max(1, round(rows * scale)), max(1, round(columns * scale))
        return cls((size - height) // 2, (size - width) // 2, height, width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The frame's part of the square."""
        rows = slice(self.top, self.top + self.rows)
        return rows, slice(self.left, self.left + self.columns)


def resize(picture: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Resize one 8-bit frame (rows, columns) to (size, size); Pillow, as in the paper."""
    place = Placement.of(picture.shape[0], picture.shape[1], size)
    inside = Image.fromarray(picture).resize((place.columns, place.rows), Image.Resampling.BILINEAR)
    square = np.zeros((size, size), np.uint8)
    square[place.slices] = np.asarray(inside)
    return square


def restore(
    square: npt.NDArray[Number], rows: int, columns: int, *, smooth: bool
) -> npt.NDArray[Number]:
    """Bring a map of the square grid back to the source frame.

    Parameters
    ----------
    square
        (size, size): a probability map, or labels.
    rows, columns
        The source frame.
    smooth
        Linear interpolation for probabilities; without it the nearest pixel, for labels.
    """
    place = Placement.of(rows, columns, square.shape[0])
    inside = square[place.slices]
    method = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(inside, (columns, rows), interpolation=method)  # type: ignore[return-value]
