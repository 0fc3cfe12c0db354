"""Measure each bleed of a head, as it hangs together over slices, for telling its type.

Lengths are those of a head that fills its square: no spacing of pixels comes this far, and a bleed
lies and spreads in proportion to its head.
"""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation, find_objects, label

KINDS = 5  # types of hemorrhage
SIDE_MM = 200.0  # of the square around a grown head
SLAB_MM = 5.0  # of a series of one slice
BONE = 250  # grey at the upper end of the brain window
PLATE_PX = 60  # what is as bright and smaller is calcified, or a clip
TOUCHING_MM = 4.0  # the outermost pixels of a bleed along the bone lie half in it
SHAPE = (
    "log volume",
    "log slices",
    "log thickness",
    "log slenderness",
    "solidity",
    "contact",
    "log depth",
    "lateral",
    "density",
)


class Head(NamedTuple):
    """What the network saw of a head, and what it said of types."""

    pictures: npt.NDArray[np.uint8]  # (slab, row, column) grey of the brain window
    slice_position_mm: npt.NDArray[np.floating]  # (slab,) rising
    types: npt.NDArray[np.uint8]  # (slab, row, column) likeliest type of each pixel, 1 ... 5

    @property
    def pixel_mm(self) -> float:
        """Distance of two pixels."""
        return SIDE_MM / int(self.pictures.shape[-1])

    @property
    def slab_mm(self) -> float:
        """Distance of two slabs."""
        steps = np.diff(self.slice_position_mm)
        return float(np.median(steps)) if len(steps) else SLAB_MM


class Bleeds(NamedTuple):
    """The bleeds of one head."""

    where: npt.NDArray[np.int32]  # (slab, row, column) number of the bleed from 1 on, 0 for none
    shape: npt.NDArray[np.float64]  # (bleed, 9), see SHAPE
    votes: npt.NDArray[np.float64]  # (bleed, 5) share of its pixels that speak for each type
    area_px: npt.NDArray[np.int64]  # (bleed, slab) of what is kept


def together(kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Give each bleed that hangs together a number, with the pixels around it."""
    near = binary_dilation(kept, np.ones((1, 3, 3), bool))  # its outline lies half a pixel further
    return np.asarray(label(near, np.ones((3, 3, 3), bool))[0], np.int32)


def measure(kept: npt.NDArray[np.bool_], head: Head) -> Bleeds:
    """Measure every bleed of what is kept as blood, (slab, row, column)."""
    where = together(kept)
    shown = np.flatnonzero(kept.any(axis=(1, 2))).tolist()
    depth = {z: depth_mm(head.pictures[z]) for z in shown}
    shape, votes, areas = [], [], []
    for number, box in enumerate(find_objects(where), start=1):
        mask = np.zeros(kept.shape, np.bool_)
        mask[box] = (where[box] == number) & kept[box]
        area = mask.sum(axis=(1, 2))
        shape.append(_shape(mask, area, depth, head))
        votes.append(np.bincount(head.types[mask], minlength=KINDS + 1)[1:] / area.sum())
        areas.append(area)
    return Bleeds(
        where,
        np.reshape(shape, (-1, len(SHAPE))),
        np.reshape(votes, (-1, KINDS)),
        np.reshape(areas, (-1, len(kept))).astype(np.int64),
    )


def depth_mm(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Distance of each pixel to the nearest bone, (row, column); 0 outside the head."""
    _, found, stats, _ = cv2.connectedComponentsWithStats(
        (picture >= BONE).astype(np.uint8), connectivity=8
    )
    plate = stats[:, cv2.CC_STAT_AREA] >= PLATE_PX
    plate[0] = False  # the background
    skull = plate[np.asarray(found, np.intp)]
    inside = np.zeros(picture.shape, np.uint8)
    if skull.any():
        points = np.argwhere(skull)[:, ::-1].astype(np.int32)
        cv2.fillConvexPoly(inside, cv2.convexHull(points), 1)
    inside[skull] = 0
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance * (SIDE_MM / len(picture)), np.float32)


def _shape(
    mask: npt.NDArray[np.bool_],
    area: npt.NDArray[np.intp],
    depth: dict[int, npt.NDArray[np.float32]],
    head: Head,
) -> list[float]:
    """Measure one bleed (slab, row, column), in the order of SHAPE."""
    slabs = np.flatnonzero(area).tolist()
    share = area[slabs] / area.sum()
    drawn = np.array([_drawn(mask[z]) for z in slabs])  # (slab, 3)
    deep = np.concatenate([depth[z][mask[z]] for z in slabs])
    along = np.concatenate([_at_bone(depth[z])[_edge(mask[z])] for z in slabs])
    column = np.nonzero(mask)[2]
    pixel_mm = head.pixel_mm
    return [
        float(np.log(area.sum() * pixel_mm**2 * head.slab_mm / 1000)),
        float(np.log(len(slabs) * head.slab_mm / SLAB_MM)),
        float(np.log(share @ drawn[:, 0] * pixel_mm)),
        float(share @ np.log(drawn[:, 1] / drawn[:, 0])),
        float(share @ drawn[:, 2]),
        float(along.mean()),
        float(np.log1p(deep.mean())),
        float(np.abs(column - (mask.shape[2] - 1) / 2).mean() * pixel_mm),
        float(head.pictures[mask].mean()),
    ]


def _drawn(mask: npt.NDArray[np.bool_]) -> tuple[float, float, float]:
    """Thickness and length in pixels, and which share of its hull a bleed fills, in one slab."""
    drawn = np.pad(mask.astype(np.uint8), 1)
    thick = 2 * float(cv2.distanceTransform(drawn, cv2.DIST_L2, cv2.DIST_MASK_5).max())
    points = np.argwhere(mask)[:, ::-1].astype(np.int32)
    hull = cv2.convexHull(points)
    long = max(cv2.minAreaRect(points)[1]) + 1
    filled = cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1)
    return thick, max(long, thick), float(mask.sum() / filled.sum())


def _at_bone(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which pixels lie at the bone; none where a slab shows no bone."""
    return np.asarray((depth <= TOUCHING_MM) & depth.any())


def _edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0)
    return np.asarray(mask & (inner == 0))
