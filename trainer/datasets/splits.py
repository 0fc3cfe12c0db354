"""Splits by patient. No slice of a patient ever stands on both sides."""

import warnings
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from trainer.datasets.cache import Prepared

PAPER_TEST = (49, 50, 51, 70, 79, 80, 87, 88, 89)  # table 3


class SplitError(ValueError):
    """The patients asked for can't be had."""


class LeakError(SplitError):
    """A patient stands in two parts of a split: every figure from it would be worthless."""


@dataclass(frozen=True)
class Split:
    """Patients to learn from and patients to be evaluated on."""

    train: tuple[int, ...]
    validation: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a leak."""
        both = sorted(set(self.train) & set(self.validation))
        if both:
            raise LeakError(f"patients {both} are in training and in validation")


def hold_out(present: Collection[int], held: Collection[int]) -> Split:
    """Hold the named patients out, so far as they are present, and train on the others."""
    validation = tuple(sorted(set(held) & set(present)))
    return Split(tuple(sorted(set(present) - set(held))), validation)


def held_patients(named: Collection[int], split: str) -> tuple[int, ...]:
    """Return the named patients, or else those that a split holds out; present or not.

    Raises
    ------
    SplitError
        The split is unknown.
    """
    if split not in ("", "paper-test"):
        raise SplitError(f"split {split!r} is unknown; paper-test is the one with a name")
    return tuple(named) or (PAPER_TEST if split else ())


def evaluated_patients(
    present: Collection[int], named: Collection[int], split: str
) -> tuple[int, ...]:
    """Whom to evaluate: the named, a split's, or everybody.

    Raises
    ------
    SplitError
        Nobody of them is here, or the split is unknown.
    """
    wanted = set(held_patients(named, split)) or set(present)
    absent = sorted(set(named) - set(present))
    if absent or not wanted & set(present):
        raise SplitError(f"patients {absent or sorted(wanted)} are not in this CT-ICH folder")
    return tuple(sorted(wanted & set(present)))


def held_split(prepared: Prepared, named: Collection[int], split: str, seed: int) -> Split:
    """Hold out the named patients, a split's, or a fifth: the fold that holds most types.

    Raises
    ------
    SplitError
        Nobody of them is here, or the split is unknown.
    """
    present = set(prepared.patients.tolist())
    if not named and not split:
        return max(folds(prepared, 5, seed), key=lambda fold: _types(prepared, fold.validation))
    return hold_out(present, evaluated_patients(present, named, split))


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
    if not 2 <= count <= len(present):
        raise SplitError(f"{len(present)} patients can't be cut into {count} folds")
    # A slice with several types counts for its rarest, so that the rare ones spread best.
    kind = np.full(len(rows), -1)
    for type_index in np.argsort(types.sum(axis=0))[::-1]:
        kind[types[:, type_index]] = type_index
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A type of fewer slices than folds is absent from some of them: known, and reported.
        warnings.filterwarnings("ignore", "The least populated class")
        held = [set(patients[chosen].tolist()) for _, chosen in cutter.split(kind, kind, patients)]
    return [hold_out(present, group) for group in held]


def inner(prepared: Prepared, split: Split, seed: int, parts: int = 5) -> Split:
    """Keep one of `parts` shares of a split's training patients back, to watch training on."""
    return folds(prepared, min(parts, len(split.train)), seed, split.train)[0]
