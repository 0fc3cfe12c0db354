"""What the networks of a cross-validation answer for patients whom they never saw.

Asking takes seconds a patient and change, so each answer is kept beside its run: a killed command
goes on, and the next one asks nothing again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from torch import nn

from trainer.config import ConfigError, RunConfig
from trainer.datasets.sources import Release
from trainer.datasets.splits import Split
from trainer.evaluation.bleed_types import learned
from trainer.evaluation.operating import SCORING, calibrated, points
from trainer.evaluation.perturb import CHANGES, Head, read_head
from trainer.evaluation.seen import Copy, Seen, ask, beside
from trainer.training.run import STATE, averaged, check_record, described
from worker.munet.bleed_types import BleedTypes
from worker.munet.card import OperatingPoint, Scoring
from worker.munet.ensemble import joined, make, widened
from worker.munet.inference import Maps
from worker.munet.preprocessing import Preprocessing


@dataclass(frozen=True)
class Fold:
    """One run of a cross-validation and the patients that it never sees.

    `others` are the places of finished runs of other recipes that never see them either; all their
    networks answer as one.
    """

    number: int
    split: Split
    config: RunConfig
    place: Path
    others: tuple[Path, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it has trained all its epochs.

        Raises
        ------
        ConfigError
            Its place holds a run with other settings.
        LeakError
            That run knows other patients.
        """
        if not (self.place / STATE).exists():
            return False
        check_record(self.place, self.config, self.split)
        return averaged(self.config, self.place).epoch == self.config.epochs

    def network(self, planes: int) -> nn.Module:
        """Return what answers for its patients, given so many channels, in eval mode.

        Raises
        ------
        ConfigError
            One of them learned from more.
        """
        own = averaged(self.config, self.place).network
        if not self.others and self.config.network.in_channels == planes:
            return own
        runs = [averaged(described(place)[0], place).network for place in self.others]
        try:
            weights = [widened(run.state_dict(), planes) for run in (own, *runs)]
        except ValueError as error:
            raise ConfigError(
                f"{self.place} and {len(runs)} more: {error}; `--reading bone` gives four"
            ) from error
        every = make(replace(self.config.network, in_channels=planes), len(weights)).eval()
        every.load_state_dict(joined(weights))
        return every


@dataclass(frozen=True)
class Reading:
    """How networks are fed, and which changes of each head they are asked about besides.

    `certain` gives every bleed a type, where one could else be of an uncertain one.
    """

    preprocessing: Preprocessing
    changes: tuple[str, ...] = ()
    certain: bool = False

    def digest(self, network: nn.Module) -> str:
        """Name answers by everything that decides them but the head."""
        settings = json.dumps([asdict(self.preprocessing), asdict(SCORING)])
        decides = hashlib.sha256(settings.encode())
        for value in network.state_dict().values():
            decides.update(value.numpy().tobytes())
        return decides.hexdigest()[:12]


@dataclass(frozen=True)
class Unseen:
    """One patient as a network that never saw them sees them, unchanged and changed."""

    patient: int
    seen: Seen
    changed: Mapping[str, Copy]


class Choice(NamedTuple):
    """How answers are read."""

    scoring: Scoring
    points: Mapping[str, OperatingPoint]
    types: BleedTypes | None = None


# Beforehand, where there is nobody to choose on.
FIXED = Choice(SCORING, {"balanced": OperatingPoint()})


def chosen(unseen: Sequence[Unseen], reading: Reading) -> Choice:
    """Choose calibration, every operating point and how types are told; no network saw these.

    Bone is known by its white, which CLAHE moves; after it the votes of pixels tell types.
    """
    seen = [patient.seen for patient in unseen]
    copies = [copy for patient in unseen for copy in patient.changed.values()]
    scoring = calibrated(seen, SCORING, copies)
    found = points(seen, scoring, copies)
    moved = reading.preprocessing.clip_limit > 0
    types = None if moved else learned(seen, scoring, found["balanced"])
    if types and reading.certain:
        types = replace(types, least=0.0)
    return Choice(scoring, found, types)


def answers(fold: Fold, release: Release, reading: Reading) -> Iterator[Unseen]:
    """Ask a fold's network about each patient that it never saw."""
    network = fold.network(reading.preprocessing.planes)
    folder = fold.place / f"answers-{reading.digest(network)}"
    folder.mkdir(exist_ok=True)
    for patient in fold.split.validation:
        yield asked(network, release, patient, reading, folder)


def asked(
    network: nn.Module, release: Release, patient: int, reading: Reading, folder: Path
) -> Unseen:
    """Ask a network about one patient, or read what it answered before.

    Commands that train folds side by side ask about the patients of all that have finished, so one
    waits for the other's answer.
    """
    slices, preprocessing = release.of(patient), reading.preprocessing
    head, path = read_head(slices), folder / f"{patient}.npz"
    with FileLock(path.with_suffix(".lock")):
        _forget_others(
            path, head, _is_of(path, preprocessing.slabs(*head.series).slice_position_mm)
        )
        maps = _kept(path, network, preprocessing, head)
        seen = beside(slices, head, preprocessing, maps)
        copies = {}
        for name in reading.changes:
            path = folder / f"{patient}-{name.replace(' ', '-')}.npz"
            copies[name] = seen.copy(_kept(path, network, preprocessing, head, name))
    return Unseen(patient, seen, copies)


def _is_of(path: Path, slice_position_mm: npt.NDArray[np.floating]) -> bool:
    """Whether an answer, which older code left without a note, can be of these slices.

    When pictures came here says nothing of them: data that are copied are younger than answers.
    """
    if not path.exists():
        return False
    with np.load(path) as stored:
        return np.array_equal(stored["slice_position_mm"], slice_position_mm)


def _forget_others(path: Path, head: Head, is_of: bool) -> None:
    """Drop what was answered about other pictures of a patient, and note whose the next are.

    Nor does an answer on other slices count, whoever's pictures: older code laid some out twice.
    """
    now = hashlib.sha256(head.hu.tobytes() + head.slice_position_mm.tobytes()).hexdigest()
    note = path.with_suffix(".head")
    if is_of and note.exists() and note.read_text("utf-8") == now:
        return
    if note.exists() or not is_of:
        for kept in (path, *path.parent.glob(f"{path.stem}-*.npz")):
            kept.unlink(missing_ok=True)
    part = note.with_suffix(".part-head")
    part.write_text(now, "utf-8")
    part.replace(note)


def _kept(
    path: Path, network: nn.Module, preprocessing: Preprocessing, head: Head, change: str = ""
) -> Maps:
    """Return the answer in a file; where there is none, ask and write it in one step."""
    if not path.exists():
        changed = CHANGES[change](head) if change else head
        maps = ask(network, preprocessing, SCORING, changed)
        if change:  # of a copy only its scores are looked at
            maps = Maps(maps.slice_position_mm, maps.logits, maps.any_map[:0], maps.types[:0])
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(file, **vars(maps))
        part.replace(path)
    with np.load(path) as stored:
        return Maps(**stored)
