"""Find the HU of brain in a series, so that a scanner's offset moves no score."""

import cv2
import numpy as np
import numpy.typing as npt

from worker.munet.resize import Box

GRID = 64  # pixels across the head: averages that no noise or kernel moves
TISSUE_HU = (0.0, 80.0)
NEAR_HU = 12.0  # around the level so far: blood, fluid and muscle lie outside
START_HU = 35.0
ROUNDS = 10
MOST_HU = 8.0  # a further way off is another organ, another contrast or a newborn


def brain_offset_hu(hu: npt.NDArray[np.floating], box: Box, expected_hu: float) -> float:
    """How far the brain of a series lies above what is expected, at most +-MOST_HU.

    Parameters
    ----------
    hu
        (slice, row, column) HU.
    box
        Where the head is.
    """
    small = [
        cv2.resize(box.cut(frame.astype(np.float32)), (GRID, GRID), interpolation=cv2.INTER_AREA)
        for frame in hu
    ]
    tissue = np.stack(small)
    tissue = tissue[(tissue > TISSUE_HU[0]) & (tissue < TISSUE_HU[1])]
    level = START_HU
    for _ in range(ROUNDS):
        near = tissue[np.abs(tissue - level) < NEAR_HU]
        if not len(near):
            return 0.0
        level = float(np.median(near))
    return float(np.clip(level - expected_hu, -MOST_HU, MOST_HU))
