"""Try each shape on many heads, to be looked at and counted before anybody trains on them."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.datasets.cache import Prepared
from trainer.training.synthetic.anatomy import Anatomy, Floats
from trainer.training.synthetic.draw import Drawn, draw
from trainer.training.synthetic.priors import Bleed
from trainer.training.synthetic.scenes import head_of
from worker.munet.card import CLASSES
from worker.munet.preprocessing import Preprocessing


@dataclass(frozen=True)
class Example:
    """One bleed in one slice."""

    patient: int
    number: int
    before: Floats  # (row, column) HU
    after: Floats
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """What came of one type in one head."""

    name: str
    seconds: float
    bleed: Bleed | None = None  # None where it found no room
    example: Example | None = None


@dataclass(frozen=True)
class Tried:
    """One patient's head."""

    patient: int
    seconds: float  # to look at it
    slices: int
    closed: int  # slices with a closed skull
    trials: tuple[Trial, ...]


def tried(
    prepared: Prepared, patients: Iterable[int], preprocessing: Preprocessing, seed: int
) -> Iterator[Tried]:
    """Draw each type once into each head, through a slice with a closed skull."""
    for patient in patients:
        started = time.process_time()
        head = head_of(prepared, patient, preprocessing)
        seconds = time.process_time() - started
        rng = np.random.default_rng([seed, patient])
        numbers = prepared.numbers[prepared.where([patient])]
        names = CLASSES if head.closed.any() else ()
        trials = [_trial(head, patient, numbers, _slice(head, n, rng), n, rng) for n in names]
        yield Tried(patient, seconds, len(head.hu), int(head.closed.sum()), tuple(trials))


def _slice(head: Anatomy, name: str, rng: np.random.Generator) -> int:
    """Draw a slice with a closed skull; for blood in ventricles one that shows them."""
    seen = head.ventricles.any(axis=(1, 2))
    able = seen if name == "IVH" and seen.any() else head.closed
    return int(rng.choice(np.flatnonzero(able)))


def _trial(
    head: Anatomy,
    patient: int,
    numbers: npt.NDArray[np.int64],
    at: int,
    name: str,
    rng: np.random.Generator,
) -> Trial:
    started = time.process_time()
    drawn = draw(head, at, rng, (name,))
    seconds = time.process_time() - started
    if drawn is None:
        return Trial(name, seconds)
    return Trial(name, seconds, drawn.bleeds[0][1], _example(head, drawn, patient, numbers, at))


def _example(
    head: Anatomy, drawn: Drawn, patient: int, numbers: npt.NDArray[np.int64], at: int
) -> Example:
    mask = drawn.kinds[at] > 0
    return Example(patient, int(numbers[at]), head.hu[at], drawn.hu[at], mask)
