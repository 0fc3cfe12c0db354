"""HU to 8-bit grey, as a CT console shows it."""

import numpy as np
import numpy.typing as npt


def window(hu: npt.NDArray[np.floating], level_hu: float, width_hu: float) -> npt.NDArray[np.uint8]:
    """Map level - width/2 ... level + width/2 to 0 ... 255, clipped and rounded.

    Parameters
    ----------
    hu
        Any shape, HU. NaN is air.
    level_hu, width_hu
        Centre and width of the window; 40 and 120 is the brain window of CT-ICH's pictures.
    """
    if width_hu <= 0:
        raise ValueError(f"a window of width {width_hu} HU shows nothing")
    grey = (hu - (level_hu - width_hu / 2)) * (255 / width_hu)
    shown = np.clip(np.nan_to_num(grey, nan=0.0), 0, 255)
    return np.asarray(np.rint(shown), np.uint8)
