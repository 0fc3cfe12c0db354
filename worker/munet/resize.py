"""To the network's square grid and back to the source's, keeping the aspect ratio.

A square box is cut out of the source frame, turned so that the head in it is straight, padded with
air where it reaches beyond, and resized. Both directions align pixel edges, so a mask comes back
onto the pixels it was seen on.
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
    """A square of source pixels. It may reach beyond the frame on any side.

    `turn_deg` turns the picture counter-clockwise about the middle of the square.
    """

    top: int
    left: int
    side: int
    turn_deg: float = 0.0

    @classmethod
    def frame(cls, rows: int, columns: int) -> "Box":
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

    def cut(self, frame: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """Take the square out of one frame (rows, columns), straight, (side, side)."""
        if self.turn_deg:
            how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            shape = (self.side, self.side)
            return np.asarray(cv2.warpAffine(frame, self._to_frame(), shape, flags=how))
        square = np.zeros((self.side, self.side), frame.dtype)
        there, here = self.overlap(frame.shape[0], frame.shape[1])
        square[here] = frame[there]
        return square

    def paste(
        self, square: npt.NDArray[Number], rows: int, columns: int, *, smooth: bool
    ) -> npt.NDArray[Number]:
        """Put a (side, side) square back where it was cut out of a frame; 0 around it."""
        if self.turn_deg:
            how = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
            shape = (columns, rows)
            return np.asarray(cv2.warpAffine(square, self._to_frame(), shape, flags=how))
        frame = np.zeros((rows, columns), square.dtype)
        there, here = self.overlap(rows, columns)
        frame[there] = square[here]
        return frame

    def _to_frame(self) -> npt.NDArray[np.float64]:
        """Affine matrix (2, 3) from the square's pixels (x, y) to the frame's."""
        middle = (self.side - 1) / 2
        angle = np.deg2rad(self.turn_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array([self.left + middle, self.top + middle])
        return np.column_stack((turn, centre - turn @ [middle, middle]))


def resize(picture: npt.NDArray[np.uint8], box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Cut one 8-bit frame (rows, columns), resize it to (size, size); Pillow, as in the paper."""
    square = Image.fromarray(box.cut(picture))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


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
    grown: npt.NDArray[Number] = np.asarray(
        cv2.resize(square, (box.side, box.side), interpolation=method), square.dtype
    )
    return box.paste(grown, rows, columns, smooth=smooth)
