"""Find the head in a series, so that a wide field of view costs no detail."""

import math

import cv2
import numpy as np
import numpy.typing as npt

from worker.munet.resize import Box

BONE_HU = 300.0
OFTEN = 0.1  # of the slices: what fewer of them show is jaw, table or metal
LEAST = 0.3  # of the frame's longer side: less bone than that is no head
PLATE = 0.1  # of the largest piece of bone: an infant's skull is several plates, not yet grown one
MARGIN = 0.05
ROUND = 1.08  # a skull is longer than wide by more than that, or lies as it lies


def head_box(hu: npt.NDArray[np.floating], *, straighten: bool = False) -> Box:
    """Return a square around the skull, one for all slices so that neighbours stay aligned.

    Parameters
    ----------
    hu
        (slice, row, column) HU.
    straighten
        Turn the square so that the skull's long axis stands upright in it.

    Returns
    -------
    Box
        Around the largest connected shadows of bone, or the whole frame where there is none.
    """
    frame = Box.frame(hu.shape[1], hu.shape[2])
    points = skull(bone_shadow(hu))
    if not len(points):
        return frame
    turn_deg = lean_deg(points) if straighten else 0.0
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    upright = points @ turn  # the transpose turns the other way: from the frame to the square
    first, last = upright.min(axis=0), upright.max(axis=0) + 1
    longer = float((last - first).max())
    if longer < LEAST * frame.side:
        return frame
    side = round(longer * (1 + 2 * MARGIN))
    column, row = turn @ ((first + last) / 2)
    return Box(math.floor(row - side / 2), math.floor(column - side / 2), side, turn_deg)


def lean_deg(points: npt.NDArray[np.int32]) -> float:
    """How far the long axis of the skull's outline leans from upright, in -90 ... 90 degrees.

    Of two ends of the axis the one further up in the frame stays up. A skull that is nearly round
    has no long axis and is left as it lies.
    """
    moments = cv2.moments(cv2.convexHull(points))
    spread = np.array([[moments["mu20"], moments["mu11"]], [moments["mu11"], moments["mu02"]]])
    (short, long), axes = np.linalg.eigh(spread)
    if long < ROUND**2 * short:
        return 0.0
    x, y = axes[:, 1] if axes[1, 1] < 0 else -axes[:, 1]  # up: rows rise downwards
    return float(np.rad2deg(np.arctan2(x, -y)))


def bone_shadow(hu: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Where enough slices show bone, (row, column) of 0 and 1."""
    shadow = np.zeros(hu.shape[1:], np.int32)
    for frame in hu:  # one at a time: a thin-slice series doubled would fill the memory
        shadow += frame > BONE_HU
    return (shadow >= max(1.0, OFTEN * len(hu))).astype(np.uint8)


def skull(bone: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return the pixels (x, y) of the large pieces of bone, (pixel, 2)."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(bone, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = 1 + np.flatnonzero(areas >= PLATE * areas.max(initial=0))
    return np.asarray(np.argwhere(np.isin(pieces, large))[:, ::-1], np.int32)
