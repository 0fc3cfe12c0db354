"""Draw bleeds into one head: shape, volume, density, partial volume, and the head's own grain."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from trainer.training.synthetic.anatomy import Anatomy, Floats
from trainer.training.synthetic.priors import Bleed, drawn
from trainer.training.synthetic.shapes import LEAST_PX, SHAPES, Shape, wobble
from worker.munet.card import CLASSES

COUNTS = (0.7, 0.2, 0.1)  # how often a head gets one, two or three bleeds
VENTRICLES_FIRST = 0.5
LEAST_ML = 0.3  # as the priors
CLOT_HU = 2.5  # spread of density within a bleed
GRAIN_PX = 0.7
NEAR_BONE = 2.0  # pixels, where the bone's own partial volume stays


@dataclass(frozen=True)
class Drawn:
    """A head with bleeds that it never had."""

    hu: Floats  # (slice, row, column)
    kinds: npt.NDArray[np.uint8]  # (slice, row, column): 0, or 1 ... 5 in the order of CLASSES
    bleeds: tuple[tuple[str, Bleed], ...]  # what was drawn: type, volume as drawn, density


def draw(
    head: Anatomy, at: int, rng: np.random.Generator, names: Sequence[str] = ()
) -> Drawn | None:
    """Draw a bleed through slice `at`, perhaps others elsewhere; None where none has room.

    Parameters
    ----------
    names
        The types that the first may have, the one to be tried first in front; any by default.
    """
    if not head.closed[at]:
        return None
    made = Drawn(head.hu, np.zeros(head.hu.shape, np.uint8), ())
    for name in names or _order(head, at, rng):
        made = _with(made, head, at, name, rng)
        if made.bleeds:
            break
    if not made.bleeds or (made.kinds[at] > 0).sum() < LEAST_PX:
        return None
    count = 0 if names else int(rng.choice(len(COUNTS), p=COUNTS))
    others = [str(name) for name in rng.permutation([n for n in CLASSES if n != made.bleeds[0][0]])]
    for name in others[:count]:
        free = replace(head, hu=made.hu, room=head.room & (made.kinds == 0))
        made = _with(made, free, int(rng.choice(np.flatnonzero(head.closed))), name, rng)
    return made


def _order(head: Anatomy, at: int, rng: np.random.Generator) -> list[str]:
    """Which type is tried first; few slices show ventricles, and half of those get theirs."""
    order = [str(name) for name in rng.permutation(list(CLASSES))]
    if head.ventricles[at].any() and rng.random() < VENTRICLES_FIRST:
        order.insert(0, "IVH")
    return order


def _with(made: Drawn, head: Anatomy, at: int, name: str, rng: np.random.Generator) -> Drawn:
    """Add one bleed of a type, if it has room."""
    bleed = drawn(name, rng)
    shape = SHAPES[name](head, at, bleed.volume_ml, rng)
    share = None if shape is None else filled(head, shape, bleed.volume_ml)
    if shape is None or share is None:
        return made
    mask = share >= 0.5
    kinds = np.where(mask, np.uint8(CLASSES.index(name) + 1), made.kinds)
    volume_ml = float((mask * head.voxel_ml).sum())
    hu = coloured(head, shape, share, bleed.hu, rng)
    return Drawn(hu, kinds, (*made.bleeds, (name, Bleed(volume_ml, bleed.hu))))


def filled(head: Anatomy, shape: Shape, volume_ml: float) -> Floats | None:
    """Share of each voxel that a bleed of a volume fills; None where there is no room for it.

    Half a voxel and more is mask. Less than what was asked for is drawn where anatomy ends.
    """
    able = np.isfinite(shape.order)
    if shape.share is not None:
        able &= shape.share >= 0.5
    values = shape.order[able]
    volumes = np.broadcast_to(head.voxel_ml, able.shape)[able]
    rising = np.argsort(values)
    total = np.cumsum(volumes[rising])
    if not len(total) or total[-1] < LEAST_ML:
        return None
    last = min(int(np.searchsorted(total, volume_ml)), len(total) - 1)
    edge = values[rising[last]]
    soft = np.clip(0.5 + (edge - shape.order) / _steps(shape.order), 0, 1) * head.room
    return np.asarray(soft if shape.share is None else soft * shape.share, np.float32)


def _steps(order: Floats) -> Floats:
    """How much a field changes over one voxel; next to where there is none, hardly."""
    finite = np.isfinite(order)
    box = _around(finite)
    known = np.where(finite[box], order[box], np.float32(np.nan))
    steps = np.zeros(order.shape, np.float32)
    for axis in range(3):
        if known.shape[axis] > 1:
            steps[box] += np.nan_to_num(np.abs(np.gradient(known, axis=axis)))
    return np.maximum(steps, np.float32(1e-3))


def _around(where: npt.NDArray[np.bool_]) -> tuple[slice, ...]:
    """Box around what is true, and a voxel more where there is one."""
    (box,) = ndimage.find_objects(where.astype(np.uint8))
    return tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)


def coloured(
    head: Anatomy, shape: Shape, share: Floats, blood_hu: float, rng: np.random.Generator
) -> Floats:
    """HU of a head with blood in the place of what was there."""
    touched = np.flatnonzero(share.any(axis=(1, 2)))
    hu = head.hu.copy()
    clots = blood_hu + CLOT_HU * wobble(head, rng, 12.0)
    for at in touched:
        blood = clots[at] + grain(head, rng)
        base = hu[at] if shape.washes_hu is None else np.float32(shape.washes_hu)
        mixed = hu[at] + share[at] * (blood - base)
        rim = head.depth_mm[at] <= NEAR_BONE * head.pixel_mm
        hu[at] = np.where(rim, np.maximum(mixed, hu[at]), mixed)
    return hu


def grain(head: Anatomy, rng: np.random.Generator) -> Floats:
    """Noise of one slice as strong as the head's own, (row, column)."""
    white = rng.standard_normal(head.hu.shape[1:]).astype(np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), GRAIN_PX)
    return np.asarray(smooth * np.float32(head.noise_hu / max(float(smooth.std()), 1e-6)))
