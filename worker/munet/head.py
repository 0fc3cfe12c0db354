"""Find the head in a series, so that a wide field of view costs no detail."""

import cv2
import numpy as np
import numpy.typing as npt

from worker.munet.resize import Box

BONE_HU = 300.0
OFTEN = 0.1  # of the slices: what fewer of them show is jaw, table or metal
LEAST = 0.3  # of the frame's longer side: less bone than that is no head
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
        Around the largest connected shadow of bone, or the whole frame where there is none.
    """
    whole = Box.whole(hu.shape[1], hu.shape[2])
    shadow = np.zeros(hu.shape[1:], np.int32)
    for frame in hu:  # one at a time: a thin-slice series doubled would fill the memory
        shadow += frame > BONE_HU
    bone = (shadow >= max(1.0, OFTEN * len(hu))).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(bone, connectivity=8)
    if count < 2:
        return whole
    left, top, width, height = (int(n) for n in stats[1 + stats[1:, cv2.CC_STAT_AREA].argmax(), :4])
    if max(width, height) < LEAST * whole.side:
        return whole
    side = round(max(width, height) * (1 + 2 * MARGIN))
    return Box(top + (height - side) // 2, left + (width - side) // 2, side)
