"""LEAKING on purpose: what a split by slice is worth, beside the same network split by patient.

Neighbouring slices of one head look alike, so a network that has seen slice 14 knows much of slice
15. Twins of one preset learn from as many slices of each kind and are measured on as many, in the
paper's way, slices with blood alone: by patient, and by slice. Their difference is the leak.
Nothing here is chosen on what is measured: maps are cut at 0.5, and the highest of five scores is
the type.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from trainer.config import ConfigError, RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.slices import kinds_of
from trainer.datasets.splits import AnySplit, SplitError, by_slice, folds
from trainer.evaluation.evaluate import pixel_counts
from trainer.evaluation.pooled import paper
from trainer.evaluation.studies import Study, counted
from trainer.experiments.crossval import Which
from trainer.training.fit import fit
from trainer.training.run import STATE, averaged, check_record, describe
from trainer.training.sampling import with_blood
from trainer.training.validation import shrink
from worker.munet.card import OperatingPoint, Platt, Scoring
from worker.munet.device import resolve
from worker.munet.inference import Maps, calibrate, run
from worker.munet.preprocessing import Series

NAMES = ("by patient", "by slice (LEAKING)")
CUT = 0.5  # of the "any" map


@dataclass(frozen=True)
class Twin:
    """One run, and the slices that it is measured on."""

    number: int
    split: AnySplit
    config: RunConfig
    place: Path
    test: npt.NDArray[np.intp]

    @property
    def finished(self) -> bool:
        """Whether it has trained all its epochs.

        Raises
        ------
        ConfigError, LeakError
            Its place holds another run.
        """
        if not (self.place / STATE).exists():
            return False
        check_record(self.place, self.config, self.split)
        return averaged(self.config, self.place).epoch == self.config.epochs


@dataclass(frozen=True)
class Arm:
    """One kind of split: what its finished runs said, patient by patient."""

    name: str
    tested: Mapping[int, Mapping[int, Sequence[int]]]  # of each fold its slices, by patient
    studies: Sequence[Study]


def leak(config: RunConfig, prepared: Prepared, which: Which, console: Console) -> list[Arm]:
    """Train pairs of twins, and measure all pairs that have finished in the folder.

    Raises
    ------
    ConfigError
        The preset shows neighbouring slices: the test's would stand in the training pictures. Or it
        watches patients.
    SplitError
        There is no fold of such a number.
    """
    if config.preprocessing.channels != "gray":
        raise ConfigError(
            f"{config.name}: by slice, neighbours would leak twice; use gray channels"
        )
    if config.optimiser.watches:
        raise ConfigError(
            f"{config.name} watches patients who are held out, and by slice nobody is;"
            ' set schedule = "cosine" and stop = 0'
        )
    bleeding = with_blood(prepared)
    pairs = plan(config, bleeding, which)
    if unknown := sorted(set(which.numbers) - set(range(len(pairs)))):
        raise SplitError(f"folds {unknown} are not among 0 to {len(pairs) - 1}")
    finished = [twin.finished for pair in pairs for twin in pair]  # before hours of training
    console.print(f"{sum(finished)} of {len(finished)} runs are at their end")
    for number in which.numbers or range(len(pairs)):
        for twin in pairs[number]:
            console.print(twin.config.name)
            unwatched = replace(twin.split, validation=())
            fit(twin.config, bleeding, unwatched, twin.place, console)
            describe(twin.place, twin.config, twin.split)
    done = [pair for pair in pairs if all(twin.finished for twin in pair)]
    return [arm(name, [pair[side] for pair in done], bleeding) for side, name in enumerate(NAMES)]


def plan(config: RunConfig, prepared: Prepared, which: Which) -> list[tuple[Twin, Twin]]:
    """Pair every fold by patient with its twin by slice."""
    cut = folds(prepared, which.count, which.cut)
    pairs = []
    for number, (honest, leaking) in enumerate(
        zip(cut, by_slice(prepared, cut, which.cut), strict=True)
    ):
        test = prepared.where(honest.validation)
        pairs.append(
            (
                twin(config, number, "by-patient", which, honest, test),
                twin(config, number, "LEAKING-by-slice", which, leaking, leaking.test),
            )
        )
    return pairs


def twin(
    config: RunConfig,
    number: int,
    kind: str,
    which: Which,
    split: AnySplit,
    test: Iterable[int],
) -> Twin:
    """Name a run by how it was split."""
    named = replace(config, name=f"{config.name}-{kind}-fold-{number}")
    split = replace(split, without=which.without)
    place = which.folder / f"{kind}-fold-{number}"
    return Twin(number, split, named, place, np.array([*test], np.intp))


def answer(twin: Twin, prepared: Prepared) -> Maps:
    """Ask a run's network about its test slices, at the size that it learned last."""
    network, device = averaged(twin.config, twin.place).network, resolve("auto")
    pictures = shrink(prepared.pictures[twin.test], twin.config.stages[-1].size)
    alone = np.repeat(np.arange(len(pictures))[:, None], 3, axis=1)
    series = Series(pictures, alone, np.arange(len(pictures), dtype=float))
    return run(network.to(device), series, Scoring(), device)


def arm(name: str, twins: Sequence[Twin], prepared: Prepared) -> Arm:
    """Measure finished runs on their slices, all folds together, patient by patient."""
    parts = [study for twin in twins for study in measured_on(twin, prepared)]
    patients = sorted({study.patient for study in parts})
    return Arm(
        name,
        {twin.number: by_patient(prepared, twin.test) for twin in twins},
        [together([s for s in parts if s.patient == patient]) for patient in patients],
    )


def by_patient(prepared: Prepared, rows: npt.NDArray[np.intp]) -> dict[int, list[int]]:
    """Name slices by patient and number."""
    found: dict[int, list[int]] = {}
    for row in sorted(rows.tolist()):
        found.setdefault(int(prepared.patients[row]), []).append(int(prepared.numbers[row]))
    return found


def measured_on(twin: Twin, prepared: Prepared) -> Iterator[Study]:
    """Set one run's answers against what is there, each patient's test slices a study."""
    maps = answer(twin, prepared)
    size = maps.any_map.shape[-1]
    truth = shrink(prepared.masks[twin.test].astype(np.uint8) * 255, size) >= 128
    labels = np.where(maps.any_map >= CUT, maps.types, 0)
    kinds = list(map(kinds_of, truth, prepared.types[twin.test].tolist()))
    pixels = counted(list(truth), kinds, labels)
    scores = calibrate(maps.logits, Platt())
    for patient in np.unique(prepared.patients[twin.test]).tolist():
        own = np.flatnonzero(prepared.patients[twin.test] == patient)
        yield Study(
            patient,
            prepared.types[twin.test[own]],
            pixels.typed[own],
            pixels.truth_px[own],
            pixels.found_px[own],
            pixels.both_px[own],
            scores[own],
            scores[own].max(axis=0).astype(float),
            OperatingPoint(),
        )


def together(parts: Sequence[Study]) -> Study:
    """Put one patient's slices of several folds into one study."""
    return replace(
        parts[0],
        types=np.concatenate([part.types for part in parts]),
        typed=np.concatenate([part.typed for part in parts]),
        truth_px=np.concatenate([part.truth_px for part in parts]),
        found_px=np.concatenate([part.found_px for part in parts]),
        both_px=np.concatenate([part.both_px for part in parts]),
        slice_probabilities=np.concatenate([part.slice_probabilities for part in parts]),
    )


def figures(studies: Sequence[Study]) -> dict[str, float]:
    """Put the paper's figures and Dice of any blood together."""
    counts = pixel_counts(studies)
    return paper(studies) | {"any_dice": counts.dice, "any_dice_by_slice": counts.mean_dice}
