"""What a series shows that is no head, in words for the one who sent it."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from schema.reason_words import NO_HOUNSFIELD
from worker.look.section import BODY_HU, BRAIN_HU, GRID_MM, Section, cm2

LUNG_HU: Final = -600.0
LUNG_CM2: Final = 60.0
SKULL_CM2: Final = 60.0
BODY_CM2: Final = 20.0
FAT_HU: Final = -50.0  # every body has fat, of -100 HU, and mostly air around it
FAT_SHARE: Final = 0.001


def describe(sections: Sequence[Section]) -> str:
    """Say why none of the slices shows a head."""
    start = f"no closed skull with brain inside in any of {len(sections)} slices looked at"
    bodies = [_body_cm2(section) for section in sections]
    if max(bodies) < BODY_CM2:
        return f"{start}: no body either"
    if not any(_has_fat_or_air(section) for section in sections):
        return f"{start}: neither fat nor air in any, so these are {NO_HOUNSFIELD}"
    air = max(_enclosed_air_cm2(section) for section in sections)
    if air >= LUNG_CM2:
        return f"{start}: {air:.0f} cm2 of air within the body, as in lungs"
    return f"{start}: {_enclosed(sections)}, in a body of {max(bodies):.0f} cm2"


def _enclosed(sections: Sequence[Section]) -> str:
    widest = max(sections, key=lambda section: section.enclosed_cm2)
    if widest.enclosed_cm2 == 0:
        return "bone encloses nothing"
    found = f"bone encloses {widest.enclosed_cm2:.0f} cm2 at most, of {widest.enclosed_hu:.0f} HU"
    if widest.enclosed_cm2 < SKULL_CM2 or BRAIN_HU[0] <= widest.enclosed_hu <= BRAIN_HU[1]:
        return found
    why = f"{NO_HOUNSFIELD}, as of a cone beam"
    if widest.enclosed_hu < BRAIN_HU[0]:
        why = f"perhaps {NO_HOUNSFIELD}"
    return f"{found} where brain has 25 to 40: {why}"


def _body_cm2(section: Section) -> float:
    return cm2(section.hu > BODY_HU)


def _has_fat_or_air(section: Section) -> bool:
    return float(np.mean(section.hu < FAT_HU)) > FAT_SHARE


def _enclosed_air_cm2(section: Section) -> float:
    """Area of air that the body surrounds."""
    body = np.pad(section.hu > BODY_HU, 1).astype(np.uint8)
    cv2.floodFill(body, None, (0, 0), 1)
    inside = (body == 0)[1:-1, 1:-1] & (section.hu < LUNG_HU)
    return float(np.count_nonzero(inside)) * GRID_MM**2 / 100
