"""From probability maps on the network's grid to one label a pixel of the source frame."""

import cv2
import numpy as np
import numpy.typing as npt

from worker.munet.bleeds import together
from worker.munet.card import OperatingPoint
from worker.munet.resize import Box, restore


def components(any_map: npt.NDArray[np.float32], point: OperatingPoint) -> npt.NDArray[np.bool_]:
    """Which pixels belong to a component that is large and certain enough, (row, column)."""
    above = (any_map >= point.mask).astype(np.uint8)
    count, found, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    where = np.asarray(found, np.intp)
    certain = np.zeros(count, np.float32)
    np.maximum.at(certain, where, any_map)
    kept = (stats[:, cv2.CC_STAT_AREA] >= point.minimum_px) & (certain >= point.seed)
    kept[0] = False  # the background
    return np.asarray(kept[where])


def one_type_each(
    kept: npt.NDArray[np.bool_], any_map: npt.NDArray[np.floating], types: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Give each connected bleed the type that most of it speaks for; pixels weigh as blood.

    Parameters
    ----------
    kept, any_map, types
        (slab, row, column): what is shown, its probability, and each pixel's type, 1 ... 5.

    Returns
    -------
    array
        Types as they came in; those of each bleed, with the pixels around it, made one.
    """
    bleeds = together(kept)
    votes = np.zeros((bleeds.max(initial=0) + 1, types.max(initial=0) + 1))
    np.add.at(votes, (bleeds[kept], types[kept]), any_map[kept].astype(np.float64))
    made = np.asarray(votes.argmax(axis=1)[bleeds], np.uint8)
    return np.where(bleeds > 0, made, types)


def label_frame(
    any_map: npt.NDArray[np.float32],
    types: npt.NDArray[np.uint8],
    point: OperatingPoint,
    box: Box,
    shape: tuple[int, int],
) -> npt.NDArray[np.uint8]:
    """Label one frame of the source: 0 none, 1 ... 5 the type.

    Parameters
    ----------
    any_map
        (256, 256) probability of blood of any type.
    types
        (256, 256) likeliest type of each pixel, 1 ... 5.
    point
        Thresholds.
    box
        The part of the frame that the network saw.
    shape
        Rows and columns of the source frame.
    """
    kept = components(any_map, point)
    if not kept.any():
        return np.zeros(shape, np.uint8)
    # Outside the kept components the map goes to 0, yet keeps its slope at their edge, so that
    # the outline on the source grid is as smooth as the map allows.
    near = cv2.dilate(kept.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    fine = restore(np.where(near, any_map, np.float32(0)), box, *shape, smooth=True)
    return np.where(fine >= point.mask, restore(types, box, *shape, smooth=False), np.uint8(0))
