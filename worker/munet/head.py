"""Find the head in a series, so that a wide field of view costs no detail."""

import cv2
import numpy as np
import numpy.typing as npt

from worker.munet.resize import Box

BONE_HU = 300.0
OFTEN = 0.1  # of the slices: what fewer of them show is jaw, table or metal
LEAST = 0.3  # of the frame's longer side: less bone than that is no head
PLATE = 0.1  # of the largest piece of bone: an infant's skull is several plates, not yet grown one
MARGIN = 0.05


def head_box(hu: npt.NDArray[np.floating]) -> Box:
    """Return a square around the skull, one for all slices so that neighbours stay aligned.

    Parameters
    ----------
    hu
        (slice, row, column) HU.

    Returns
    -------
    Box
        Around the largest connected shadows of bone, or the whole frame where there is none.
    """
    whole = Box.whole(hu.shape[1], hu.shape[2])
    plates = skull(bone_shadow(hu))
    if not len(plates):
        return whole
    left, top = (int(n) for n in plates[:, :2].min(axis=0))
    right, bottom = (int(n) for n in (plates[:, :2] + plates[:, 2:]).max(axis=0))
    longer = max(right - left, bottom - top)
    if longer < LEAST * whole.side:
        return whole
    side = round(longer * (1 + 2 * MARGIN))
    return Box((top + bottom - side) // 2, (left + right - side) // 2, side)


def bone_shadow(hu: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Where enough slices show bone, (row, column) of 0 and 1."""
    shadow = np.zeros(hu.shape[1:], np.int32)
    for frame in hu:  # one at a time: a thin-slice series doubled would fill the memory
        shadow += frame > BONE_HU
    return (shadow >= max(1.0, OFTEN * len(hu))).astype(np.uint8)


def skull(bone: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return left, top, width and height of the large pieces of bone, (piece, 4)."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(bone, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    return np.asarray(stats[1:, :4][areas >= PLATE * areas.max(initial=0)], np.int32)
