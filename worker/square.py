"""Square pixels for the network, which knows no others, and its masks back on the scanner's own."""

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

UNEVEN: Final = 1.05  # heads differ by more than that in length to width


def is_square(aspect_ratio: float) -> bool:
    """Tell whether pixels of this ratio of height to width show a head as it is."""
    return 1 / UNEVEN <= aspect_ratio <= UNEVEN


def squared(
    hu: npt.NDArray[np.float32], spacing_mm: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Return a series on as many square pixels, (slice, row, column); itself where they are.

    Parameters
    ----------
    spacing_mm
        Between rows, between columns.
    """
    if is_square(spacing_mm[0] / spacing_mm[1]):
        return hu
    size = np.array(hu.shape[1:]) * spacing_mm / np.sqrt(np.prod(spacing_mm))
    rows, columns = np.maximum(np.rint(size).astype(int), 1)
    return np.stack([cv2.resize(frame, (int(columns), int(rows))) for frame in hu])


def put_back(labels: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Return masks on the rows and columns that the series came with, each pixel the nearest."""
    if labels.shape[1:] == size:
        return labels
    rows, columns = size
    nearest = cv2.INTER_NEAREST_EXACT
    return np.stack([cv2.resize(frame, (columns, rows), interpolation=nearest) for frame in labels])
