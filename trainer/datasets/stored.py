"""A scan as its scanner stored it, for what measures pixels: no slab, no enlarged picture."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets.slices import Slice
from trainer.datasets.sources import read_series
from worker.volume import Volume

SCANNER_PIXELS = 512  # a side; CT-ICH 1.0.0 publishes pictures of 650


def read_stored(slices: Sequence[Slice]) -> Volume:
    """Read one scan, from its lowest slice up, as a worker would receive it."""
    slab = slices[0].slab
    if slab is not None:
        planes = range(len(slab.plane_position_mm))
        hu = np.stack([slab.volume.hu(plane) for plane in planes])
        return Volume(hu, np.array(slab.plane_position_mm), slices[0].spacing_mm)
    hu, slice_position_mm = read_series(slices)
    spacing_mm = slices[0].spacing_mm
    if slices[0].plane is None:
        hu, spacing_mm = _reduced(hu, spacing_mm)
    return Volume(hu, slice_position_mm, spacing_mm)


def _reduced(
    hu: npt.NDArray[np.float32], spacing_mm: tuple[float, float]
) -> tuple[npt.NDArray[np.float32], tuple[float, float]]:
    """Bring published pictures back to the scanner's grid: enlarged, their noise is another."""
    rows, columns = hu.shape[1:]
    if max(rows, columns) <= SCANNER_PIXELS:
        return hu, spacing_mm
    size = (SCANNER_PIXELS, SCANNER_PIXELS)
    frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in hu]
    row_mm, column_mm = spacing_mm
    spacing_mm = (row_mm * rows / SCANNER_PIXELS, column_mm * columns / SCANNER_PIXELS)
    return np.stack(frames).astype(np.float32), spacing_mm
