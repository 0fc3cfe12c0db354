"""What one slice shows: a skull that is closed, or nearly so, with brain inside, or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

GRID_MM: Final = 1.0  # coarse enough to be quick, fine enough for a child's skull
BONE_HU: Final = 200.0
THIN_BONE_HU: Final = 120.0  # an infant's skull, and a vertex cut flat
BODY_HU: Final = -300.0
TISSUE_HU: Final = (-15.0, 110.0)  # CSF to clotted blood, with the noise of a thin slice averaged
BRAIN_HU: Final = (12.0, 50.0)  # median of what a skull holds; most have 25 to 40, muscle has 55
TISSUE_SHARE: Final = 0.75  # of what a skull holds: the rest is calcium, metal, air after surgery
# Gaps of bone that are closed, the smallest that helps: a suture or a foramen, a burr hole or an
# infant's fontanelle, the orbits' fissures and a small craniotomy.
GAPS_MM: Final = (9, 21, 37)
TRIES: Final = (*((BONE_HU, gap) for gap in GAPS_MM), (THIN_BONE_HU, 9), (THIN_BONE_HU, 21))
LEAST_CM2: Final = 2.0  # smaller chambers are marrow, sinus or spinal canal
CHAMBER_CM2: Final = 8.0  # less brain than that may be a larger one with a leak
LEAST_OPEN_CM2: Final = 40.0  # a smaller one without a closed skull is no vault
WIDEST_CM2: Final = 330.0  # beyond the largest head; a pelvis or a chest
LARGEST_BODY_CM2: Final = 600.0  # a head with hands, headrest and blankets has less
RING_SHARE: Final = 0.6  # of all directions: a skull with half its vault removed has 0.7
DIRECTIONS: Final = 72
PLATE: Final = 0.1  # of the largest piece of bone
VAULT_SHARE: Final = 0.6  # of the widest section: below are petrous bone and orbital roofs

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Section:
    """What one slice shows, on a grid of 1 mm.

    Attributes
    ----------
    hu
        (row, column) float32 on the grid.
    bone
        (row, column) where there is bone.
    brain
        (row, column) what the skull encloses, if that is brain; else empty.
    enclosed_cm2, enclosed_hu
        Area and median of the largest space that bone encloses, whatever it holds; NaN for none.
    closed
        Whether the skull is closed; one with a large part removed is not.
    """

    hu: npt.NDArray[np.float32]
    bone: Mask
    brain: Mask
    enclosed_cm2: float
    enclosed_hu: float
    closed: bool

    @property
    def brain_cm2(self) -> float:
        """Area of the brain."""
        return cm2(self.brain)


def vault_of(head: Sequence[Section]) -> list[Section]:
    """Choose the sections of the vault among those that show brain."""
    widest = max(section.brain_cm2 for section in head)
    return [section for section in head if section.brain_cm2 >= VAULT_SHARE * widest]


def cm2(mask: Mask) -> float:
    """Area of a mask on the grid."""
    return float(np.count_nonzero(mask)) * GRID_MM**2 / 100


def look_at(frame: npt.NDArray[np.float32], spacing_mm: tuple[float, float]) -> Section:
    """Look at one slice, (row, column) HU."""
    hu = _on_grid(frame, spacing_mm)
    bone = hu > BONE_HU
    brain = largest = np.zeros_like(bone)
    # A trunk is too large for a head, and its many bones cost the most; one try is enough for it.
    tries = TRIES if cm2(hu > BODY_HU) <= LARGEST_BODY_CM2 else TRIES[:1]
    for bone_hu, gap_mm in tries:
        brain, chamber = _enclosed_brain(hu, hu > bone_hu, gap_mm)
        largest = largest if largest.any() else chamber
        if cm2(brain) >= CHAMBER_CM2:
            break
    closed = cm2(brain) >= CHAMBER_CM2
    if not closed and len(tries) > 1:
        brain = _brain_in_open_skull(hu, bone)
    area, median = (cm2(largest), float(np.median(hu[largest]))) if largest.any() else (0.0, np.nan)
    return Section(hu, bone, brain, area, median, closed)


def _on_grid(
    frame: npt.NDArray[np.float32], spacing_mm: tuple[float, float]
) -> npt.NDArray[np.float32]:
    rows, columns = (
        max(8, round(count * mm / GRID_MM))
        for count, mm in zip(frame.shape, spacing_mm, strict=True)
    )
    return np.asarray(cv2.resize(frame, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _enclosed_brain(hu: npt.NDArray[np.float32], bone: Mask, gap_mm: int) -> tuple[Mask, Mask]:
    """Return the chambers of bone that hold brain, and the largest chamber of all."""
    count, chambers, stats, _ = cv2.connectedComponentsWithStats(
        _enclosed(bone, gap_mm).astype(np.uint8), connectivity=4
    )
    brain, largest = np.zeros_like(bone), np.zeros_like(bone)
    areas = stats[:, cv2.CC_STAT_AREA] * GRID_MM**2 / 100
    for label in sorted(range(1, count), key=lambda number: areas[number]):
        if areas[label] < LEAST_CM2:
            continue
        largest = chambers == label
        if areas[label] <= WIDEST_CM2 and _is_brain(hu[largest]):
            brain |= largest
    return brain, largest


def _enclosed(bone: Mask, gap_mm: int) -> Mask:
    """Fill from outside up to the bone, whose gaps are closed; what stays dry is enclosed."""
    side = round(gap_mm / GRID_MM)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    padded = np.pad(bone, side).astype(np.uint8)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, kernel)
    cv2.floodFill(closed, None, (0, 0), 1)
    return np.asarray((closed == 0)[side:-side, side:-side]) & ~bone


def _is_brain(hu: npt.NDArray[np.float32]) -> bool:
    tissue = (hu > TISSUE_HU[0]) & (hu < TISSUE_HU[1])
    return bool(
        tissue.mean() >= TISSUE_SHARE and BRAIN_HU[0] <= float(np.median(hu)) <= BRAIN_HU[1]
    )


def _brain_in_open_skull(hu: npt.NDArray[np.float32], bone: Mask) -> Mask:
    """Return what lies inside the bone's outline, if that is brain and bone is nearly all round."""
    none = np.zeros_like(bone)
    points = cv2.findNonZero(_plates(bone))
    if points is None or len(points) < DIRECTIONS:
        return none
    outline = cv2.convexHull(points)
    inside = none.astype(np.uint8)
    cv2.fillConvexPoly(inside, outline, 1)
    brain = inside.astype(bool) & ~bone
    if not LEAST_OPEN_CM2 <= cm2(brain) <= WIDEST_CM2 or not _is_brain(hu[brain]):
        return none
    return brain if _ring_share(bone, brain) >= RING_SHARE else none


def _plates(bone: Mask) -> npt.NDArray[np.uint8]:
    """Leave out the small pieces: fingers that hold a child's head, a headrest, teeth."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(bone.astype(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    return np.isin(pieces, np.flatnonzero(areas > PLATE * areas.max(initial=1))).astype(np.uint8)


def _ring_share(bone: Mask, inside: Mask) -> float:
    """Share of the directions from the middle in which there is bone."""
    rows, columns = np.nonzero(inside)
    y, x = np.nonzero(bone)
    angle = np.arctan2(y - rows.mean(), x - columns.mean())
    hit = np.unique(((angle + np.pi) / (2 * np.pi) * DIRECTIONS).astype(int) % DIRECTIONS)
    return len(hit) / DIRECTIONS
