"""Whether vessels are enhanced: bright spots deep in the brain, left and right, nearly everywhere.

A plain head has its bright spots too: calcium in pineal gland, choroid plexus and falx, fresh blood
of up to 90 HU, a clip. Those are in few slices, on one side, or one mass. Enhanced arteries, veins
and sinuses run through every slice of the vault.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from worker.look.section import GRID_MM, Mask, Section, cm2, vault_of

VESSEL_HU: Final = 100.0  # above clotted blood
NOISE_SDS: Final = 4.0
MAD_TO_SD: Final = 1.4826  # of a normal distribution; vessels are too few to move a median
METAL_HU: Final = 1200.0  # a spot that holds more is bone or metal
RIM_MM: Final = 9  # next to the skull its partial volume is bright
SPOTS_CM2: Final = 0.15
LARGEST_SHARE: Final = 0.1  # of a section: vessels are thin, a mass is not
SIDE_CM2: Final = 0.04
LEAST_SECTIONS: Final = 5
ENHANCED_SHARE: Final = 0.75  # of the vault's sections with vessels
DOUBTFUL_SHARE: Final = 0.4  # the worst of 61 plain heads has less; see docs/series-selection.md


class Contrast(StrEnum):
    """What the pixels say of a contrast agent."""

    PLAIN = "PLAIN"
    DOUBTFUL = "DOUBTFUL"
    ENHANCED = "ENHANCED"


def contrast_of(sections: Sequence[Section]) -> tuple[Contrast, float]:
    """Return the verdict and the share of the vault's sections that show vessels."""
    vault = vault_of(sections)
    share = float(np.mean([shows_vessels(section) for section in vault]))
    if share >= ENHANCED_SHARE and len(vault) >= LEAST_SECTIONS:
        return Contrast.ENHANCED, share
    return (Contrast.DOUBTFUL if share >= DOUBTFUL_SHARE else Contrast.PLAIN), share


def shows_vessels(section: Section) -> bool:
    """Tell whether there are bright spots on both sides of the brain, and no bright mass."""
    deep = deep_brain(section.brain, RIM_MM)
    smooth = cv2.blur(section.hu, (3, 3))  # the noise of a thin slice is no vessel
    spots = deep & (smooth > _above_noise(smooth[deep])) & ~_near_metal(section)
    area = cm2(spots)
    if not SPOTS_CM2 <= area <= LARGEST_SHARE * section.brain_cm2:
        return False
    middle = np.nonzero(section.brain)[1].mean()
    left = cm2(spots & (np.arange(spots.shape[1]) < middle))
    return min(left, area - left) >= SIDE_CM2


def _above_noise(brain_hu: npt.NDArray[np.integer | np.floating]) -> float:
    """Give the HU that a vessel has and the noise of a scan of low dose does not reach."""
    if not brain_hu.size:
        return VESSEL_HU
    middle = np.median(brain_hu)
    deviation = MAD_TO_SD * np.median(np.abs(brain_hu - middle))
    return max(VESSEL_HU, float(middle + NOISE_SDS * deviation))


def deep_brain(brain: Mask, rim_mm: float) -> Mask:
    """Leave out the rim; what is too bright to be brain counts, where brain is all round it."""
    filled = brain.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    side = 2 * round(rim_mm / GRID_MM) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.erode(np.pad(filled, 1), kernel)[1:-1, 1:-1]).astype(bool)


def _near_metal(section: Section) -> Mask:
    """Find what a clip's streaks and the petrous bones' partial volume brighten."""
    hard = (section.hu > METAL_HU).astype(np.uint8)
    return np.asarray(cv2.dilate(hard, np.ones((9, 9), np.uint8))).astype(bool)
