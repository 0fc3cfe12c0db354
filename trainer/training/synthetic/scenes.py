"""Drawn bleeds for the slices of an epoch.

Patient by patient before the first batch: a head is looked at once, and what is drawn into it
serves all of its slices that the bleed reaches. Random numbers come from the seed, the epoch and
the patient, so neither the order of slices nor a resumed run changes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.config import ConfigError, RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.slices import kinds_of
from trainer.training.paste import BRAIN
from trainer.training.synthetic.anatomy import Anatomy, Floats, anatomy
from trainer.training.synthetic.draw import Drawn, draw
from trainer.training.synthetic.shapes import LEAST_PX
from worker.munet.preprocessing import Preprocessing, window

MARGIN_HU = 3.0  # at either end of the window is no tissue: interpolation rounds the edges of bone

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Made:
    """A slice with drawn bleeds, and with those that it had."""

    pictures: Pixels  # (3, rows, columns)
    kinds: Pixels  # (rows, columns): 0, or 1 ... 5 the type
    types: npt.NDArray[np.bool_]  # (5,)


def scenes(
    prepared: Prepared, chosen: npt.NDArray[np.intp], config: RunConfig, epoch: int
) -> dict[int, Made]:
    """Draw bleeds into a share of an epoch's slices, by row.

    Raises
    ------
    ConfigError
        The preset's pictures say nothing of HU.
    """
    share = config.augment.synthetic
    if not share:
        return {}
    if config.preprocessing.clip_limit:
        raise ConfigError("synthetic bleeds have HU, which CLAHE takes away; set clip_limit = 0")
    made: dict[int, Made] = {}
    for patient in np.unique(prepared.patients[chosen]):
        if patient > 0:  # SMOTE's slices have no neighbours
            rng = np.random.default_rng([config.seed, epoch, int(patient)])
            rows = np.unique(chosen[prepared.patients[chosen] == patient])
            rows = rows[rng.random(len(rows)) < share]
            rows = np.array([row for row in rows if truth(prepared, int(row)) is not None], int)
            made |= _of_patient(prepared, int(patient), rows, config.preprocessing, rng)
    return made


def truth(prepared: Prepared, row: int) -> Pixels | None:
    """Type of each pixel of a slice, (row, column); None where its types can't be told apart."""
    if (known := prepared.kinds.get(row)) is not None:
        return np.asarray(known)
    return kinds_of(prepared.masks[row], prepared.types[row].tolist())


def head_of(prepared: Prepared, patient: int, preprocessing: Preprocessing) -> Anatomy:
    """Look at a patient's head, in HU as the pictures have them."""
    rows, series = prepared.where([patient]), prepared.series(patient)
    scale = np.float32(preprocessing.width_hu / 255)
    lowest = np.float32(preprocessing.level_hu - preprocessing.width_hu / 2)
    hu = series.brain.astype(np.float32) * scale + lowest
    tissue_hu = (float(lowest) + MARGIN_HU, float(lowest) + preprocessing.width_hu - MARGIN_HU)
    positions = np.asarray(series.slice_position_mm, np.float64)
    return anatomy(hu, prepared.masks[rows], positions, prepared.pixel_mm(int(rows[0])), tissue_hu)


def _of_patient(
    prepared: Prepared,
    patient: int,
    rows: npt.NDArray[np.intp],
    preprocessing: Preprocessing,
    rng: np.random.Generator,
) -> dict[int, Made]:
    made: dict[int, Made] = {}
    if not len(rows):
        return made
    head, first = head_of(prepared, patient, preprocessing), int(prepared.where([patient])[0])
    for row in map(int, rng.permutation(rows)):
        drawn = None if row in made else draw(head, row - first, rng)
        if drawn is not None:
            reached = [int(other) for other in rows if _shows(drawn, int(other) - first)]
            scenes = {row: _scene(prepared, row, first, drawn, preprocessing) for row in reached}
            made = scenes | made
    return made


def _shows(drawn: Drawn, at: int) -> bool:
    return bool((drawn.kinds[at] > 0).sum() >= LEAST_PX)


def _scene(
    prepared: Prepared, row: int, first: int, drawn: Drawn, preprocessing: Preprocessing
) -> Made:
    """Take one slice of a drawn head, its neighbours as channels."""
    kinds, before = drawn.kinds[row - first].copy(), truth(prepared, row)
    if before is not None:
        kinds[kinds == 0] = before[kinds == 0]
    types = prepared.types[row].copy()
    types[np.unique(kinds[kinds > 0]) - 1] = True
    pictures = np.stack(list(_channels(prepared, row, first, drawn.hu, preprocessing)))
    return Made(pictures, kinds, types)


def _channels(
    prepared: Prepared, row: int, first: int, hu: Floats, preprocessing: Preprocessing
) -> Iterator[Pixels]:
    for picture in prepared.layout[row, :BRAIN]:
        yield window(hu[picture - first], preprocessing.level_hu, preprocessing.width_hu)
