"""The five shapes as fields: a bleed of so many mL is the voxels with the lowest values.

So a volume is met to the voxel, whatever the anatomy lets through. Distances are in mm, and the
thickness of slices counts in them.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from trainer.training.synthetic.anatomy import DEEP_MM, FLUID_HU, Anatomy, Floats, Mask

OFF_MIDLINE_MM = 20.0  # no lens lies over the sagittal sinus
LEAST_VAULT_MM2 = 6000.0  # a fossa of the base has less
FALX_MM = 2.0
THICKEST_MM, WIDEST_MM = 30.0, 65.0  # of a lens; from its middle
CISTERN_MM = 5.0  # behind the middle, at most, lies the deep fluid of cisterns
BELOW_MM = 25.0  # the widest slice, at least: above it are the lateral ventricles
WIDEST_BLOB_MM = 25.0  # from the falx to the middle of a blob, at most
NEAR_VENTRICLE_MM = 6.0  # horns that are too near the skull for `anatomy` are no sulci either
IN_BRAIN_MM = 10.0  # from the inner table to the middle of a blob
LEVEL = 0.7  # of bleeds into ventricles settle to a level; the others are casts
LEAST_PX = 12  # where fluid has fewer pixels there is nothing to fill


class Shape(NamedTuple):
    """Where a bleed begins and how it grows."""

    order: (
        Floats  # (slice, row, column), rising from its heart outwards; infinite where it can't be
    )
    share: Floats | None = None  # of a voxel that it may fill, where it fills fluid

    @property
    def washes_hu(self) -> float | None:
        """What it takes the place of; None is all that is there."""
        return None if self.share is None else FLUID_HU


Draw = Callable[[Anatomy, int, float, np.random.Generator], Shape | None]


def lens(head: Anatomy, at: int, volume_ml: float, rng: np.random.Generator) -> Shape | None:
    """EDH: a lens upon the inner table."""
    if not _beside_the_vault(head, at):
        return None
    rim = head.room[at] & (head.vault_mm[at] <= 2 * head.pixel_mm)
    seed = _seed(rim & (np.abs(head.lateral_mm) >= OFF_MIDLINE_MM), rng)
    if seed is None:
        return None
    flat = rng.uniform(2.0, 3.2)
    away = _distance(head, at, seed, tall=rng.uniform(0.7, 1.2))
    order = np.hypot(away, flat * head.vault_mm) * (1 + 0.08 * wobble(head, rng))
    return Shape(_only(order, head.room & (head.vault_mm <= THICKEST_MM) & (away <= WIDEST_MM)))


def crescent(head: Anatomy, at: int, volume_ml: float, rng: np.random.Generator) -> Shape | None:
    """SDH: a crescent along the inner table of one side, ending at the midline."""
    side = rng.choice([-1.0, 1.0])
    half = head.lateral_mm * np.float32(side)
    reach = half[head.room[at]]
    if not _beside_the_vault(head, at):
        return None
    radius = max(float(np.quantile(reach, 0.98)), 20.0)
    thick = float(np.clip(rng.uniform(0.5, 1.0) * 3.3 * volume_ml ** (1 / 3), 2.5, 25))
    tall = rng.uniform(0.5, 1.0)  # against its half length
    length = float(np.sqrt(1500 * volume_ml / (thick * np.pi * tall)))
    spread = min(length / radius, 1.3)  # radians to either end
    angle = np.arctan2(half, -head.backward_mm)  # 0 in front, pi behind
    along = (angle - rng.uniform(0.35, 0.65) * np.pi) / spread
    up = (head.slice_position_mm - head.slice_position_mm[at]) / (length * tall)
    profile = np.sqrt(np.clip(1 - along**2 - (up**2)[:, None, None], 0, 1)).astype(np.float32)
    order = head.vault_mm / np.maximum(profile, 1e-3) * (1 + 0.12 * wobble(head, rng))
    able = head.room & (half >= FALX_MM) & (profile > 0.1) & (head.vault_mm <= THICKEST_MM)
    return Shape(_only(order, able))


def sulci(head: Anatomy, at: int, volume_ml: float, rng: np.random.Generator) -> Shape | None:
    """SAH: what fluid there is between brain and skull, or in a cistern, around one place."""
    share = _fillable(head)
    below = head.slice_position_mm <= head.widest_mm - BELOW_MM
    cistern = below[:, None, None] & (head.backward_mm <= CISTERN_MM)
    where = head.room & ~_near(head) & ((head.depth_mm <= DEEP_MM) | cistern)
    seed = _seed(where[at] & (share[at] >= 0.5), rng)
    if seed is None:
        return None
    order = _distance(head, at, seed, tall=0.7) * (1 + 0.2 * wobble(head, rng))
    return Shape(_only(order, where), share)


def ventricles(head: Anatomy, at: int, volume_ml: float, rng: np.random.Generator) -> Shape | None:
    """IVH: what has settled behind in the ventricles up to a level, or a cast of some of them."""
    seed = _seed(head.ventricles[at], rng)
    if seed is None:
        return None
    near = np.stack([_grown(frame) for frame in head.ventricles]) & head.room
    if rng.random() < LEVEL:
        tilt = np.float32(np.tan(np.deg2rad(rng.uniform(-8, 8))))
        level = 200 - head.backward_mm + tilt * head.lateral_mm
        order = np.broadcast_to(level, head.hu.shape)
    else:
        order = _distance(head, at, seed, tall=1.0)
    return Shape(_only(order, near), _fillable(head))


def blob(head: Anatomy, at: int, volume_ml: float, rng: np.random.Generator) -> Shape | None:
    """IPH: a ragged ball in the brain."""
    side = np.float32(rng.choice([-1.0, 1.0]))
    brain = head.room & ~head.ventricles & (side * head.lateral_mm >= FALX_MM)
    radius_mm = (1000 * volume_ml * 3 / (4 * np.pi)) ** (1 / 3)
    beside = side * head.lateral_mm >= FALX_MM + min(0.8 * radius_mm, WIDEST_BLOB_MM)
    seed = _seed(brain[at] & beside & (head.depth_mm[at] >= IN_BRAIN_MM), rng)
    if seed is None:
        return None
    away = _distance(head, at, seed, tall=rng.uniform(0.7, 1.3), wide=rng.uniform(0.65, 1.5))
    ragged = 0.25 * wobble(head, rng) + 0.12 * wobble(head, rng, 9.0)
    return Shape(_only(away * np.exp(ragged), brain))


SHAPES: Mapping[str, Draw] = {
    "EDH": lens,
    "IPH": blob,
    "IVH": ventricles,
    "SAH": sulci,
    "SDH": crescent,
}


def wobble(head: Anatomy, rng: np.random.Generator, every_mm: float = 22.0) -> Floats:
    """Smooth random field of about unit spread, (slice, row, column)."""
    side = max(3, round(head.hu.shape[1] * head.pixel_mm / every_mm))
    up = (head.slice_position_mm - head.slice_position_mm[0]) / every_mm
    coarse = rng.standard_normal((int(up[-1]) + 2, side, side)).astype(np.float32)
    size = (head.hu.shape[2], head.hu.shape[1])
    planes = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) for plane in coarse])
    below = up.astype(int)
    part = (up - below).astype(np.float32)[:, None, None]
    return np.asarray(planes[below] * (1 - part) + planes[below + 1] * part)


def _seed(where: Mask, rng: np.random.Generator) -> npt.NDArray[np.intp] | None:
    """Draw a pixel of one slice, (row, column)."""
    points = np.argwhere(where)
    return points[rng.integers(len(points))] if len(points) >= LEAST_PX else None


def _distance(
    head: Anatomy, at: int, seed: npt.NDArray[np.intp], tall: float, wide: float = 1.0
) -> Floats:
    """Distance from a pixel of slice `at`, mm; `tall` and `wide` stretch what is equally far."""
    rows, columns = np.ogrid[: head.hu.shape[1], : head.hu.shape[2]]
    across = ((rows - seed[0]) ** 2 * wide + (columns - seed[1]) ** 2 / wide) * head.pixel_mm**2
    up = (head.slice_position_mm - head.slice_position_mm[at]) / tall
    return np.asarray(np.sqrt(across[None] + (up**2)[:, None, None]), np.float32)


def _fillable(head: Anatomy) -> Floats:
    """Share of a voxel that blood can fill: white matter is dark, too, and no fluid."""
    return np.asarray(np.clip((head.fluid - 0.3) * 2.0, 0, 1) * head.room, np.float32)


def _beside_the_vault(head: Anatomy, at: int) -> bool:
    """Whether a slice shows more than one fossa of the base."""
    return bool(head.room[at].sum() * head.pixel_mm**2 >= LEAST_VAULT_MM2)


def _near(head: Anatomy) -> Mask:
    """Ventricles and what lies around them."""
    pixels = round(NEAR_VENTRICLE_MM / head.pixel_mm)
    return np.stack([_grown(frame, pixels) for frame in head.ventricles])


def _grown(frame: Mask, pixels: int = 1) -> Mask:
    """Grow a mask: the edge of a ventricle is fluid in part."""
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.asarray(cv2.dilate(frame.astype(np.uint8), square)) > 0


def _only(order: Floats, where: Mask) -> Floats:
    return np.where(where, order, np.float32(np.inf)).astype(np.float32)
