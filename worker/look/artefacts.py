"""What spoils a head CT: metal, and a head that moved between slices."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from worker.look.section import Section, cm2

METAL_HU: Final = 2800.0  # above every bone and tooth; series clip at 3071
VAULT_SHARE: Final = 0.75  # of the widest section: lower ones change their shape


def metal_ml(sections: Sequence[Section], heights_mm: Sequence[float]) -> float:
    """Volume of metal within a finger's breadth of the brain; fillings of teeth lie below it."""
    return sum(
        cm2((section.hu > METAL_HU) & _around(section)) * height_mm / 10
        for section, height_mm in zip(sections, heights_mm, strict=True)
    )


def _around(section: Section) -> np.ndarray:
    return np.asarray(cv2.dilate(section.brain.astype(np.uint8), np.ones((31, 31), np.uint8))) > 0


def motion_mm(sections: Sequence[Section]) -> float:
    """Return the largest step of the brain's middle from the line of its neighbours, in the vault.

    A head at rest has sections whose middles lie on a smooth curve. One that turns or slides
    between two rotations of the tube leaves a step; one that shakes within them blurs, which this
    does not measure.
    """
    widest = max((section.brain_cm2 for section in sections), default=0.0)
    middles = np.array(
        [
            [axis.mean() for axis in np.nonzero(section.brain)]
            for section in sections
            if section.brain_cm2 >= max(VAULT_SHARE * widest, 1.0) and section.closed
        ]
    )
    if len(middles) < 4:
        return 0.0
    bend = middles[1:-1] - (middles[:-2] + middles[2:]) / 2
    return float(np.linalg.norm(bend, axis=1).max())
