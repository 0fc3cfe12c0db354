"""Paste bleeds with their masks into healthy slices (what ResUNet-CutMix did on these data).

27 patients with blood show few of the places where blood can be. The donor's head is laid onto the
recipient's by centre and spread of the skull, and only what falls inside the skull is taken over.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets.cache import Prepared

Picture = npt.NDArray[np.uint8]

BRAIN = 3  # channels of the brain window; in bone's, blood is hardly brighter than brain
BONE = 250  # of 255 in the brain window
LEAST_PX = 12  # a smaller rest of a bleed teaches nothing
LEAST_INSIDE = 0.06  # of the picture: below it the skull is open or the slice too low


@dataclass(frozen=True)
class Scene:
    """One slice with its channels and what it holds."""

    pictures: Picture  # (3, rows, columns)
    masks: Picture  # (3, rows, columns), 0 or 255
    types: npt.NDArray[np.bool_]  # (5,)


def scene(prepared: Prepared, row: int) -> Scene:
    """Gather one slice."""
    layout = prepared.layout[row, :BRAIN]
    masks = prepared.masks[layout].astype(np.uint8) * 255
    return Scene(prepared.pictures[layout], masks, prepared.types[row])


def skull(picture: Picture) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Centre (x, y) and spread of the bone; None where there is hardly any."""
    points = np.argwhere(picture >= BONE)[:, ::-1]
    if len(points) < 100:
        return None
    return points.mean(axis=0), points.std(axis=0)


def inside(picture: Picture) -> npt.NDArray[np.bool_]:
    """Soft tissue within a closed skull, (row, column)."""
    bone = (picture >= BONE).astype(np.uint8)
    closed = cv2.morphologyEx(bone, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    outside = np.pad(closed, 1)
    cv2.floodFill(outside, None, (0, 0), 2)
    return np.asarray((outside[1:-1, 1:-1] != 2) & (bone == 0))


def placement(
    donor: Picture, recipient: Picture, rng: np.random.Generator
) -> npt.NDArray[np.float64] | None:
    """Affine matrix (2, 3) that lays the donor's skull onto the recipient's, with some freedom."""
    from_skull, to_skull = skull(donor), skull(recipient)
    if from_skull is None or to_skull is None:
        return None
    scale = np.clip(to_skull[1] / from_skull[1], 0.7, 1.4) * rng.uniform(0.9, 1.1, 2)
    scale[0] *= rng.choice([-1, 1])  # mirrored or not
    angle = np.deg2rad(rng.uniform(-12, 12))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(scale)
    shift = to_skull[0] - linear @ from_skull[0] + rng.normal(0, 2, 2)
    return np.column_stack((linear, shift))


def paste(donor: Scene, recipient: Scene, rng: np.random.Generator) -> Scene | None:
    """Put the donor's blood into the recipient; None where it has no room."""
    matrix = placement(donor.pictures[1], recipient.pictures[1], rng)
    if matrix is None:
        return None
    pictures, masks = recipient.pictures.copy(), np.zeros_like(recipient.masks)
    lift = _tissue(recipient) - _tissue(donor) + rng.uniform(-8, 12)
    for channel in range(len(pictures)):
        room = inside(pictures[channel])
        if room.mean() < LEAST_INSIDE:
            continue
        blood, mask = (_moved(stack[channel], matrix) for stack in (donor.pictures, donor.masks))
        soft = cv2.GaussianBlur(mask * room.astype(np.uint8), (3, 3), 0) / 255.0 * room
        mixed = pictures[channel] * (1 - soft) + (blood + lift) * soft
        pictures[channel] = np.clip(mixed, 0, 255)
        masks[channel] = (soft >= 0.5) * np.uint8(255)
    return Scene(pictures, masks, donor.types) if (masks[1] > 0).sum() >= LEAST_PX else None


def _tissue(scene: Scene) -> float:
    """Middle grey within the skull, or of nothing where the skull is open."""
    room = inside(scene.pictures[1]) & (scene.masks[1] == 0)
    return float(np.median(scene.pictures[1][room])) if room.any() else 0.0


def _moved(picture: Picture, matrix: npt.NDArray[np.float64]) -> Picture:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)


def donors(prepared: Prepared, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Those slices of patients whose blood is of one type and large enough to see."""
    single = (prepared.types[rows].sum(axis=1) == 1) & (prepared.patients[rows] > 0)
    large = prepared.masks[rows].sum(axis=(1, 2)) >= LEAST_PX
    return rows[np.flatnonzero(single & large)]
