"""Smooth a grainy series until it is no grainier than those that the network learned from.

A sharp kernel is a filter over HU: it lifts the noise, and beside the skull it digs a dark rim that
looks like nothing the network knows. Smoothed in HU, while bone still has its height, most of both
goes away again; smoothed after the window has cut bone off, the rim stays.
"""

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

SAMPLED: Final = 10  # slices, evenly spread, that speak for a series
TISSUE: Final = (0.25, 0.75)  # of the window's grey: neither fluid nor bone, and no fresh blood
AWAY_PX: Final = 7  # width of the square around a pixel that must all be tissue
TO_SIGMA: Final = 1.4826  # from the median of absolute values to a normal distribution's sigma
SIGMAS_PX: Final = (0.0, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.4)  # of the source's pixels

Show = Callable[[npt.NDArray[np.floating], float], npt.NDArray[np.uint8]]


def grain(pictures: npt.NDArray[np.uint8]) -> float:
    """Noise of some pictures (slice, row, column): what a mean over 3 x 3 takes away, in grey.

    Returns
    -------
    float
        Sigma of a normal distribution with the same median; 0 where there is no tissue.
    """
    low, high = TISSUE[0] * 255, TISSUE[1] * 255
    taken = []
    for picture in pictures.astype(np.float32):
        tissue = ((picture > low) & (picture < high)).astype(np.uint8)
        inside = cv2.erode(tissue, np.ones((AWAY_PX, AWAY_PX), np.uint8)) > 0
        taken.append(np.abs(picture - cv2.blur(picture, (3, 3)))[inside])
    every = np.concatenate(taken)
    return TO_SIGMA * float(np.median(every)) if len(every) else 0.0


def smoothed(frame: npt.NDArray[np.floating], sigma_px: float) -> npt.NDArray[np.floating]:
    """Smooth one frame (row, column) with a Gaussian; 0 leaves it alone."""
    if not sigma_px:
        return frame
    return np.asarray(cv2.GaussianBlur(frame.astype(np.float32), (0, 0), sigma_px))


def calming_px(hu: npt.NDArray[np.floating], show: Show, most_grey: float) -> float:
    """Find the least smoothing after which a series is grainy by no more than `most_grey`.

    Parameters
    ----------
    hu
        (slice, row, column) HU.
    show
        Makes the network's picture of one frame and a sigma in source pixels.

    Returns
    -------
    float
        One of `SIGMAS_PX`; the largest where none is enough.
    """
    chosen = [hu[index] for index in sorted({*np.linspace(0, len(hu) - 1, SAMPLED).astype(int)})]
    for sigma_px in SIGMAS_PX:
        if grain(np.stack([show(frame, sigma_px) for frame in chosen])) <= most_grey:
            break
    return sigma_px
