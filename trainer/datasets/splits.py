"""Splits by patient. No slice of a patient ever stands on both sides.

The one exception is a type of its own, `LeakingSplit`, which nothing takes that makes a model.
"""

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from trainer.datasets.cache import Prepared
from trainer.datasets.people import people, person, scans_of

PAPER_TEST = (49, 50, 51, 70, 79, 80, 87, 88, 89)  # table 3


class SplitError(ValueError):
    """The patients asked for can't be had."""


class LeakError(SplitError):
    """A patient stands in two parts of a split: every figure from it would be worthless."""


@dataclass(frozen=True)
class Split:
    """Patients to learn from and patients to be evaluated on.

    Those that it is `without` were in the data and are on neither side: data that never had them
    give the same split.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    without: tuple[int, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        """Refuse a leak."""
        both = sorted(people(self.train) & people(self.validation))
        if both:
            raise LeakError(f"patients {both} are in training and in validation")

    def rows(self, prepared: Prepared) -> npt.NDArray[np.intp]:
        """Return the slices to learn from."""
        return prepared.where(self.train)

    def record(self) -> dict[str, Any]:
        """Plain values, for the run's folder."""
        return {"train": self.train, "validation": self.validation, "without": self.without}

    def is_fold_of(self, known: "AnySplit") -> bool:
        """Whether it holds out whom a training loop never got to know, and nobody else.

        The loop of a fold knows no more than the training part: of that it may watch some.
        """
        if not isinstance(known, Split) or not self.validation:
            return False
        return {*known.train, *known.validation} == set(self.train)


@dataclass(frozen=True)
class LeakingSplit:
    """LEAKING on purpose: slices to learn from and slices to be measured on, of the same patients.

    It names slices and no patients, so nothing that asks for a `Split` takes it. It shows what a
    split by slice is worth (`trainer/experiments/leak.py`) and nothing else.
    """

    train: tuple[int, ...]  # indices of prepared slices
    test: tuple[int, ...]
    validation: tuple[int, ...] = ()  # nobody is watched
    without: tuple[int, ...] = field(default=(), compare=False)  # as in `Split`

    def rows(self, _: Prepared) -> npt.NDArray[np.intp]:
        """Return the slices to learn from."""
        return np.array(self.train, np.intp)

    def record(self) -> dict[str, Any]:
        """Plain values, for the run's folder."""
        return {
            "LEAKING": "split by slice",
            "train_slices": self.train,
            "test_slices": self.test,
            "without": self.without,
        }


AnySplit = Split | LeakingSplit


def recorded(values: Mapping[str, Any]) -> AnySplit:
    """Read back what `record` gave; older code was without nobody."""
    without = tuple(values.get("without", ()))
    if "LEAKING" in values:
        train, test = tuple(values["train_slices"]), tuple(values["test_slices"])
        return LeakingSplit(train, test, without=without)
    return Split(tuple(values["train"]), tuple(values["validation"]), without)


def hold_out(present: Collection[int], held: Collection[int]) -> Split:
    """Hold the named patients out, so far as they are present, and train on the others."""
    validation = scans_of(present, held)
    return Split(tuple(sorted(set(present) - set(validation))), validation)


def held_patients(named: Collection[int], split: str) -> tuple[int, ...]:
    """Return the named patients and those that a split holds out; present or not.

    Raises
    ------
    SplitError
        The split is unknown, or leaks.
    """
    if split == "by-slice":
        raise LeakError(
            "by-slice leaks; `python -m trainer leak` shows how much, and makes no model"
        )
    if split not in ("", "paper-test"):
        raise SplitError(f"split {split!r} is unknown; paper-test is the one with a name")
    return tuple(sorted({*named, *(PAPER_TEST if split else ())}))


def evaluated_patients(
    present: Collection[int], named: Collection[int], split: str
) -> tuple[int, ...]:
    """Whom to evaluate: the named and a split's, or everybody where neither is given.

    Raises
    ------
    SplitError
        As `held_here`.
    """
    return held_here(present, named, split) or tuple(sorted(present))


def held_here(present: Collection[int], named: Collection[int], split: str) -> tuple[int, ...]:
    """Return all scans of the named and of a split's patients; of nobody where neither is given.

    Raises
    ------
    SplitError
        One who is named is not here, or nobody of the split, or it is unknown.
    """
    of_split = held_patients((), split)
    absent = sorted(people(named) - people(present))
    if absent or (of_split and not scans_of(present, of_split)):
        raise SplitError(
            f"patients {absent or list(of_split)} are not in these data; name some who are"
        )
    return scans_of(present, held_patients(named, split))


def held_split(prepared: Prepared, named: Collection[int], split: str, seed: int) -> Split:
    """Hold out the named patients and a split's, or a fifth: the fold that holds most types.

    Raises
    ------
    SplitError
        Nobody of them is here, or the split is unknown.
    """
    present = set(prepared.patients.tolist())
    if not named and not split:
        return max(folds(prepared, 5, seed), key=lambda fold: _types(prepared, fold.validation))
    return hold_out(present, held_here(present, named, split))


def _types(prepared: Prepared, patients: Collection[int]) -> int:
    """Count the types of which these patients have a slice with no other."""
    types = prepared.types[prepared.where(patients)]
    return int(types[types.sum(axis=1) == 1].any(axis=0).sum())


def folds(prepared: Prepared, count: int, seed: int, among: Collection[int] = ()) -> list[Split]:
    """Cut patients into `count` folds with as even a share of each type as patients allow.

    Parameters
    ----------
    among
        Whom to cut; everybody when nobody is named.

    Raises
    ------
    SplitError
        Fewer patients than folds.
    """
    rows = prepared.where(among or set(prepared.patients.tolist()))
    patients, types = prepared.patients[rows], prepared.types[rows]
    present = set(patients.tolist())
    if not 2 <= count <= len(people(present)):
        raise SplitError(f"{len(people(present))} patients can't be cut into {count} folds")
    # A slice with several types counts for its rarest, so that the rare ones spread best.
    kind = np.full(len(rows), -1)
    for type_index in np.argsort(types.sum(axis=0))[::-1]:
        kind[types[:, type_index]] = type_index
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A type of fewer slices than folds is absent from some of them: known, and reported.
        warnings.filterwarnings("ignore", "The least populated class")
        owners = np.array([person(patient) for patient in patients.tolist()])
        held = [set(patients[chosen].tolist()) for _, chosen in cutter.split(kind, kind, owners)]
    return [hold_out(present, group) for group in held]


def inner(prepared: Prepared, split: Split, seed: int, parts: int = 5) -> Split:
    """Keep one of `parts` shares of a split's training patients back, to watch training on."""
    return folds(prepared, min(parts, len(people(split.train))), seed, split.train)[0]


def by_slice(prepared: Prepared, cut: Sequence[Split], seed: int) -> list[LeakingSplit]:
    """Deal the slices of folds by patient out anew, LEAKING.

    Only slices of the same types change places, so each fold learns from and is measured on as many
    slices of every kind as its twin by patient.
    """
    fold = np.full(len(prepared), -1)
    for number, split in enumerate(cut):
        fold[prepared.where(split.validation)] = number
    rng = np.random.default_rng(seed)
    kinds = prepared.types @ (1 << np.arange(prepared.types.shape[1]))
    for kind in np.unique(kinds):
        rows = np.flatnonzero(kinds == kind)
        fold[rows] = rng.permutation(fold[rows])
    return [
        LeakingSplit(
            tuple(np.flatnonzero(fold != number).tolist()),
            tuple(np.flatnonzero(fold == number).tolist()),
        )
        for number in range(len(cut))
    ]
