"""The synthetic head: an egg of brain with ventricles in a skull, and a ball of blood in it.

Drawn by formulas, so it is nobody's; the same each time, so its result is known.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

SIZE: Final = 192  # rows and columns
PIXEL_MM: Final = 1.2
STEP_MM: Final = 5.0
POSITIONS_MM: Final = tuple(np.arange(-70.0, 70.1, STEP_MM).tolist())

AIR_HU, SCALP_HU, BONE_HU, BRAIN_HU, CSF_HU, BLOOD_HU = -1000, 40, 900, 32, 8, 68
SCALP_MM, SKULL_MM = 5.0, 6.0
HALF_AXES_MM: Final = (68.0, 84.0, 76.0)  # of the skull's outside: left, back, up
BLOOD_MM: Final = (34.0, 6.0, 15.0)  # where its middle is
BLOOD_RADIUS_MM: Final = 21.0
NOISE_HU: Final = 3.0
SEED: Final = 20261129

Frame = npt.NDArray[np.int16]
Mask = npt.NDArray[Any]


def draw(position_mm: float) -> Frame:
    """Draw the slice at a height above the middle, in HU, (row, column)."""
    along = (np.arange(SIZE) - (SIZE - 1) / 2) * PIXEL_MM
    y, x = np.meshgrid(along, along, indexing="ij")
    hu = np.full((SIZE, SIZE), float(AIR_HU))
    for depth_mm, value in (
        (-SCALP_MM, SCALP_HU),
        (0.0, BONE_HU),
        (SKULL_MM, BRAIN_HU),
    ):
        hu[_inside(x, y, position_mm, depth_mm)] = value
    hu[_ventricles(x, y, position_mm)] = CSF_HU
    hu[_ball(x, y, position_mm)] = BLOOD_HU
    rng = np.random.default_rng((SEED, round(position_mm * 10) + 10_000))
    return np.rint(hu + rng.normal(0, NOISE_HU, hu.shape)).astype(np.int16)


def blood_ml() -> float:
    """Give how much blood there is."""
    return float(4 / 3 * np.pi * BLOOD_RADIUS_MM**3 / 1000)


def _inside(x: Mask, y: Mask, z: float, depth_mm: float) -> Mask:
    left, back, up = (half - depth_mm for half in HALF_AXES_MM)
    return (x / left) ** 2 + (y / back) ** 2 + (z / up) ** 2 < 1


def _ventricles(x: Mask, y: Mask, z: float) -> Mask:
    return ((np.abs(x) - 9) / 6) ** 2 + (y / 30) ** 2 + ((z - 10) / 16) ** 2 < 1


def _ball(x: Mask, y: Mask, z: float) -> Mask:
    away = (x - BLOOD_MM[0]) ** 2 + (y - BLOOD_MM[1]) ** 2 + (z - BLOOD_MM[2]) ** 2
    return away < BLOOD_RADIUS_MM**2
