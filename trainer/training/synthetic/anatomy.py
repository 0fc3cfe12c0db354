"""What a drawn bleed must know of a head: the room in a closed skull, fluid, ventricles, axes.

All of it is read from the pictures that the network sees, a brain window in grey. It is no
segmentation that anything else may rely on; where a skull is not closed there is no room.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

CLOSING, OPENING, CORNER = 9, 9, 5  # pixels: a skull's gaps, ways into mastoid cells, corners
LEAST_ROOM_MM2 = 3000.0  # the brain of a slice near the vertex; orbits and sinuses are smaller
SOLID = 0.9  # of its convex hull: what is less is the base, or a skull with a hole
FLUID_HU = 8.0
DEEP_MM = 22.0  # from the inner table: fluid further in lies in ventricles
MIDDLE_MM = 32.0  # either side of the midline
FORWARD_MM = 38.0  # of the middle, where the frontal horns end
LOWEST_MM, HIGHEST_MM = -15.0, 32.0  # above the widest slice: cisterns and sulci lie around
LEAST_ABOVE = 0.5  # of a ventricle lies above the widest slice, hardly any of a cistern
LEAST_VENTRICLE_ML = 0.5


@dataclass(frozen=True)
class Anatomy:
    """A head, slice by slice upwards; arrays are (slice, row, column)."""

    hu: Floats  # as the window shows them
    room: Mask  # within a closed skull, free of blood
    depth_mm: Floats  # from the nearest bone
    vault_mm: Floats  # from the vault, its convex hull: no ridge of the base counts
    fluid: Floats  # share of fluid in a voxel, 0 ... 1
    ventricles: Mask
    lateral_mm: Floats  # (row, column), from the midline
    backward_mm: Floats  # (row, column), from the middle of the head
    slice_position_mm: npt.NDArray[np.float64]  # (slice,)
    pixel_mm: float
    brain_hu: float
    noise_hu: float

    @property
    def voxel_ml(self) -> npt.NDArray[np.float64]:
        """Volume of a voxel of each slice, (slice, 1, 1)."""
        step = np.gradient(self.slice_position_mm) if len(self.hu) > 1 else np.array([5.0])
        return np.asarray(self.pixel_mm**2 * step[:, None, None] / 1000)

    @property
    def widest_mm(self) -> float:
        """Position of the slice with most room: above it lie the ventricles' bodies."""
        return float(self.slice_position_mm[self.room.sum(axis=(1, 2)).argmax()])

    @property
    def closed(self) -> npt.NDArray[np.bool_]:
        """Whether a slice has room, (slice,)."""
        return np.asarray(self.room.any(axis=(1, 2)))


def anatomy(
    hu: Floats,
    blood: Mask,
    slice_position_mm: npt.NDArray[np.float64],
    pixel_mm: float,
    tissue_hu: tuple[float, float],
) -> Anatomy:
    """Look at a head.

    Parameters
    ----------
    hu, blood
        (slice, row, column), and what of it is blood already.
    tissue_hu
        Within the window's ends, where what is darker is air or fat and what is brighter is bone.
    """
    skulls = [room(frame, pixel_mm, tissue_hu) for frame in hu]
    within = np.stack(skulls)
    depth = np.stack([_depth(skull) for skull in skulls]) * np.float32(pixel_mm)
    vault = np.stack([_depth(_hull(skull)) for skull in skulls]) * np.float32(pixel_mm)
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 0.8) for frame in hu])
    brain = float(np.median(smooth[within])) if within.any() else 0.0
    fluid = np.clip((brain - smooth) / np.float32(max(brain - FLUID_HU, 1.0)), 0, 1) * within
    lateral, backward = axes(within, pixel_mm)
    made = Anatomy(
        hu, within & ~blood & (hu < tissue_hu[1]), depth, vault, np.asarray(fluid, np.float32),
        within & False, lateral, backward, slice_position_mm, pixel_mm, brain,
        _noise(hu, smooth, within),
    )  # fmt: skip
    return _with_ventricles(made)


def room(frame: Floats, pixel_mm: float, tissue_hu: tuple[float, float]) -> Mask:
    """Tell the room within a closed skull of one slice; nothing where there is none."""
    bone = (frame >= tissue_hu[1]).astype(np.uint8)
    dark = cv2.GaussianBlur(frame, (0, 0), 0.8) <= tissue_hu[0]  # orbits, sinuses, mastoid cells
    skull = _without_holes(np.asarray(cv2.morphologyEx(bone, cv2.MORPH_CLOSE, _disc(CLOSING))))
    within = (skull & (bone == 0) & ~dark).astype(np.uint8)
    open_ = cv2.morphologyEx(within, cv2.MORPH_OPEN, _disc(OPENING))
    count, parts, sizes, _ = cv2.connectedComponentsWithStats(open_, connectivity=4)
    empty = np.zeros(frame.shape, np.bool_)
    if count < 2:
        return empty
    largest = 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax())
    brain = cv2.dilate((parts == largest).astype(np.uint8), _disc(CORNER)) & within
    # Calcified plexus and pineal are bone in the room.
    filled = _without_holes(brain) & ~dark
    outline, _ = cv2.findContours(filled.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    hull = cv2.contourArea(cv2.convexHull(outline[0]))
    closed = filled.sum() * pixel_mm**2 >= LEAST_ROOM_MM2 and filled.sum() >= SOLID * hull
    return np.asarray(filled) if closed else empty


def _without_holes(mask: npt.NDArray[np.uint8]) -> Mask:
    """Fill what no way of four neighbours joins to the frame's edge."""
    outside = np.pad(mask, 1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray(outside[1:-1, 1:-1] != 2)


def _disc(side: int) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _depth(within: Mask) -> Floats:
    """Pixels from the edge of a mask inwards."""
    return np.asarray(cv2.distanceTransform(within.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def _hull(within: Mask) -> Mask:
    """Fill the convex hull of a mask."""
    made = np.zeros(within.shape, np.uint8)
    outlines, _ = cv2.findContours(
        within.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
    )
    if outlines:
        cv2.fillConvexPoly(made, cv2.convexHull(np.concatenate(outlines)), 1)
    return made > 0


def _noise(hu: Floats, smooth: Floats, within: Mask) -> float:
    """Measure the grain, a standard deviation in HU; edges are outliers to a median."""
    if not within.any():
        return 0.0
    apart = np.abs(hu - smooth)[within]
    return float(1.4826 * np.median(apart) / 0.9)  # a tenth of white noise stays in the smooth one


def axes(within: Mask, pixel_mm: float) -> tuple[Floats, Floats]:
    """Distances from the midline and from the middle, mm, (row, column): along the long axis."""
    rows, columns = np.mgrid[: within.shape[1], : within.shape[2]].astype(np.float32)
    weight = within.sum(axis=0)
    if not weight.any():
        return columns * 0, rows * 0
    rows -= np.average(rows, weights=weight)
    columns -= np.average(columns, weights=weight)
    across = np.average(columns**2 - rows**2, weights=weight)
    both = np.average(2 * columns * rows, weights=weight)
    turn = np.arctan2(both, -across) / 2  # of the long axis against the columns
    turn = float(np.clip(turn, -0.5, 0.5))
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return (
        (columns * cos - rows * sin) * np.float32(pixel_mm),
        (rows * cos + columns * sin) * np.float32(pixel_mm),
    )


def _with_ventricles(head: Anatomy) -> Anatomy:
    """Find the large bodies of fluid deep in the middle."""
    up = head.slice_position_mm - head.widest_mm
    high = ((up >= LOWEST_MM) & (up <= HIGHEST_MM))[:, None, None]
    middle = (np.abs(head.lateral_mm) <= MIDDLE_MM) & (head.backward_mm >= -FORWARD_MM)
    deep = (head.depth_mm >= DEEP_MM) & middle
    parts, count = ndimage.label((head.fluid >= 0.5) & high & deep)
    volumes = np.broadcast_to(head.voxel_ml, parts.shape)
    above = volumes * (up >= 0)[:, None, None]
    sizes, higher = (
        np.bincount(parts.ravel(), what.ravel(), count + 1)[1:] for what in (volumes, above)
    )
    large = 1 + np.flatnonzero((sizes >= LEAST_VENTRICLE_ML) & (higher >= LEAST_ABOVE * sizes))
    return replace(head, ventricles=np.isin(parts, large) & head.room)
