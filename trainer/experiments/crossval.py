"""Cross-validation by patient: the figure that decides.

Every patient is evaluated by a network that never saw them: not in training, not for the learning
rate, not for early stopping. Calibration and thresholds of a fold come from the other folds'
patients, who are all in the fold's training part, each of them answered for by the network of
their own fold, which never saw them either. So nothing at an operating point is chosen on the
patients it is measured on; how scores are combined, SCORING, was chosen once on all of them. While
one fold alone has finished there are no such patients: it is evaluated without calibration at the
plain thresholds of `OperatingPoint`, fixed beforehand.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from trainer.config import RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.sources import Release, read_series
from trainer.datasets.splits import Split, SplitError, folds, inner
from trainer.evaluation.operating import SCORING, Seen, calibrated, choose, look, youden
from trainer.evaluation.studies import Study, study_of
from trainer.training.fit import fit
from trainer.training.run import averaged, describe
from worker.munet.card import OperatingPoint, Scoring
from worker.munet.inference import read
from worker.munet.preprocessing import Projection


@dataclass(frozen=True)
class Fold:
    """One run of a cross-validation and the patients that it never sees."""

    number: int
    split: Split
    config: RunConfig
    place: Path

    @property
    def finished(self) -> bool:
        """Whether it has trained all its epochs."""
        return averaged(self.config, self.place).epoch == self.config.epochs


@dataclass(frozen=True)
class Network:
    """What one architecture's finished folds said."""

    architecture: str
    folds: Mapping[int, Sequence[Study]]

    @property
    def studies(self) -> list[Study]:
        """Every evaluated patient, rising."""
        return sorted((s for part in self.folds.values() for s in part), key=lambda s: s.patient)


@dataclass(frozen=True)
class Which:
    """How many folds there are, which of them to train now (all when none is named), and where."""

    folder: Path
    count: int = 5
    numbers: tuple[int, ...] = ()


def crossval(
    configs: Sequence[RunConfig],
    prepared: Prepared,
    release: Release,
    which: Which,
    console: Console,
) -> list[Network]:
    """Train folds of each configuration, and evaluate all that have finished in the folder.

    Parameters
    ----------
    configs
        One for each architecture, all of one preprocessing.
    which
        A second call goes on after a kill, or adds folds to those that are there.
    """
    plans = [plan(config, prepared, which.folder, which.count) for config in configs]
    for planned in plans:
        train(planned, which.numbers, prepared, console)
    return [
        Network(config.architecture, evaluated(planned, prepared, release))
        for config, planned in zip(configs, plans, strict=True)
    ]


def plan(config: RunConfig, prepared: Prepared, folder: Path, count: int) -> list[Fold]:
    """Say which patients each of `count` runs is evaluated on, and where it is kept."""
    prefix = "" if config.architecture == "munet" else f"{config.architecture}-"
    splits = folds(prepared, count, config.seed)
    return [
        Fold(
            number,
            split,
            replace(config, name=f"{config.name}-fold-{number}"),
            folder / f"{prefix}fold-{number}",
        )
        for number, split in enumerate(splits)
    ]


def train(
    planned: Sequence[Fold], numbers: Collection[int], prepared: Prepared, console: Console
) -> None:
    """Train the numbered folds (all when none is named), each from where it stands.

    Raises
    ------
    SplitError
        There is no fold of such a number.
    """
    unknown = sorted(set(numbers) - {fold.number for fold in planned})
    if unknown:
        raise SplitError(f"folds {unknown} are not among 0 to {len(planned) - 1}")
    for fold in planned:
        if not numbers or fold.number in numbers:
            fit(fold.config, prepared, learning(fold, prepared), fold.place, console)
            describe(fold.place, fold.config, fold.split)


def learning(fold: Fold, prepared: Prepared) -> Split:
    """Split a fold's training patients for the loop, which never gets to know the others.

    A rate that halves on a plateau needs patients to watch, so a fifth of the training part is
    kept for that; a cosine needs none.
    """
    if fold.config.optimiser.schedule == "plateau":
        return inner(prepared, fold.split, fold.config.seed)
    return Split(fold.split.train, ())


def evaluated(
    planned: Sequence[Fold], prepared: Prepared, release: Release
) -> dict[int, list[Study]]:
    """Evaluate the patients of all folds that have finished, by the fold's number."""
    done = [fold for fold in planned if fold.finished]
    seen = [answers(fold, prepared) for fold in done]
    studies = {}
    for index, fold in enumerate(done):
        others = [study for other, part in enumerate(seen) if other != index for study in part]
        scoring = calibrated(others, SCORING) if others else SCORING
        point = choose(others, scoring, youden) if others else OperatingPoint()
        studies[fold.number] = called(fold, seen[index], release, scoring, point)
    return studies


def answers(fold: Fold, prepared: Prepared) -> list[Seen]:
    """Raw answers of one fold's network for the patients it never saw."""
    network = averaged(fold.config, fold.place).network
    return look(network, prepared, fold.split.validation, SCORING)


def called(
    fold: Fold,
    seen: Sequence[Seen],
    release: Release,
    scoring: Scoring,
    point: OperatingPoint,
) -> list[Study]:
    """Read one fold's raw answers as the worker would, on the source grid."""
    studies = []
    for patient, study in zip(fold.split.validation, seen, strict=True):
        slices = release.of(patient)
        hu, _ = read_series(slices)
        back = Projection(
            fold.config.preprocessing.box(hu), np.arange(len(hu)), (hu.shape[1], hu.shape[2])
        )
        found = read(study.maps, scoring, point, back)
        studies.append(study_of(slices, found, point))
    return studies
