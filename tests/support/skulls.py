"""Drawn heads as the network sees them: skull, brain with grain, two ventricles, sulci."""

import cv2
import numpy as np
import numpy.typing as npt

from trainer.datasets.cache import Prepared
from worker.munet.preprocessing import window

SIDE, PIXEL_MM, STEP_MM = 96, 2.0, 5.0
BRAIN_HU, FLUID_HU, BONE_HU, AIR_HU, GRAIN_HU = 34.0, 6.0, 900.0, -1000.0, 2.0
UP_MM = np.arange(-40.0, 66.0, STEP_MM)


def skull_hu(rng: np.random.Generator, gap: bool = False) -> npt.NDArray[np.float32]:
    """HU of one head, (slice, row, column); with a `gap` its skull is open in front."""
    y, x = (np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2) * PIXEL_MM
    slices = []
    for up in UP_MM:
        narrow = np.sqrt(1 - (up / 80) ** 2)
        out = np.hypot(x / (66 * narrow), y / (80 * narrow))
        angle = np.arctan2(y, x)
        hu = np.where(out <= 1, BONE_HU, AIR_HU)
        brain = out <= 0.87
        hu[brain] = BRAIN_HU + rng.normal(0, GRAIN_HU, int(brain.sum()))
        slits = np.abs((angle * 9 / np.pi) % 1 - 0.5) < 0.2
        hu[slits & (out > 0.66) & (out <= 0.85)] = FLUID_HU
        for side in (-1, 1):
            hu[((x - 14 * side) / 8) ** 2 + (y / 28) ** 2 + ((up - 14) / 13) ** 2 < 1] = FLUID_HU
        if gap:
            hu[(np.abs(x) < 25) & (y < 0) & (hu == BONE_HU)] = BRAIN_HU
        slices.append(cv2.GaussianBlur(hu.astype(np.float32), (0, 0), 0.5))
    return np.stack(slices)


def prepared_skulls(patients: int = 2, gap: bool = False) -> Prepared:
    """Healthy heads in network form, their neighbours as channels."""
    rng = np.random.default_rng(0)
    heads = np.concatenate([window(skull_hu(rng, gap), 40, 120) for _ in range(patients)])
    count, rows = len(UP_MM), np.arange(len(heads))
    first = rows // count * count
    beside = [np.clip(rows + step, first, first + count - 1) for step in (-1, 0, 1)]
    return Prepared(
        np.repeat(np.arange(1, patients + 1), count),
        np.tile(np.arange(1, count + 1), patients),
        np.zeros((len(heads), 5), np.bool_),
        heads,
        np.zeros(heads.shape, np.bool_),
        np.stack(beside, axis=1),
        np.tile(UP_MM, patients),
        np.full(len(heads), PIXEL_MM),
    )
