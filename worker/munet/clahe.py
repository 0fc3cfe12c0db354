"""Contrast limited adaptive histogram equalisation (the paper's figure 3)."""

import cv2
import numpy as np
import numpy.typing as npt


def equalise(
    picture: npt.NDArray[np.uint8], clip_limit: float, tiles: int
) -> npt.NDArray[np.uint8]:
    """Equalise one 8-bit picture (rows, columns) in tiles x tiles regions.

    A clip limit of 0 leaves the picture as it is, so that an ablation needs no second code path.
    """
    if clip_limit < 0 or tiles < 1:
        raise ValueError(f"CLAHE can't use clip limit {clip_limit} and {tiles} tiles")
    if clip_limit == 0:
        return picture
    method = cv2.createCLAHE(clipLimit=clip_limit, tileGridSize=(tiles, tiles))
    return method.apply(picture).astype(np.uint8, copy=False)
