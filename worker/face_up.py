"""Heads with the face up, as the network learned them, and its masks back where the face was.

Who is scanned prone or on a side keeps his face down or aside in the pictures; Image Orientation
(Patient) says where it is.
"""

from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", bound=np.generic)
QUARTER_TURNS: Final = {"top": 0, "right": 1, "bottom": 2, "left": 3}  # that bring an edge up


def turns_up(sides: Mapping[str, str]) -> int:
    """Count the quarter turns, counter-clockwise, that bring the face up.

    Parameters
    ----------
    sides
        What lies at each edge of the picture (`worker.orientation.sides`). None of them is anterior
        in a plane that is not axial; it stays as it is.
    """
    return next((QUARTER_TURNS[edge] for edge, end in sides.items() if end == "A"), 0)


def turned(frames: npt.NDArray[Number], turns: int) -> npt.NDArray[Number]:
    """Turn (slice, row, column) by quarters, counter-clockwise; itself where nothing turns."""
    if turns % 4 == 0:
        return frames
    return np.ascontiguousarray(np.rot90(frames, turns, axes=(1, 2)))
