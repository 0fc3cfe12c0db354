"""Splits by patient. No slice of a patient ever stands on both sides."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from trainer.cache import Prepared

PAPER_TEST = (49, 50, 51, 70, 79, 80, 87, 88, 89)  # table 3


class SplitError(ValueError):
    """The patients asked for can't be had."""


class LeakError(SplitError):
    """A patient stands in two parts of a split: every figure from it would be worthless."""


@dataclass(frozen=True)
class Split:
    """Patients to learn from and patients to be judged on."""

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


def judged_patients(
    present: Collection[int], named: Collection[int], split: str
) -> tuple[int, ...]:
    """Whom to judge: the named, a split's, or everybody.

    Raises
    ------
    SplitError
        Nobody of them is here, or the split is unknown.
    """
    if split not in ("", "paper-test"):
        raise SplitError(f"split {split!r} is unknown; paper-test is the one with a name")
    wanted = set(named) or (set(PAPER_TEST) if split else set(present))
    absent = sorted(set(named) - set(present))
    if absent or not wanted & set(present):
        raise SplitError(f"patients {absent or sorted(wanted)} are not in this CT-ICH folder")
    return tuple(sorted(wanted & set(present)))


def folds(prepared: Prepared, count: int, seed: int) -> list[Split]:
    """Cut all patients into `count` folds with as even a share of each type as patients allow."""
    # A slice with several types counts for its rarest, so that the rare ones spread best.
    rarity = np.argsort(prepared.types.sum(axis=0))
    kind = np.full(len(prepared), -1)
    for type_index in rarity[::-1]:
        kind[prepared.types[:, type_index]] = type_index
    cutter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    present = set(prepared.patients.tolist())
    held = [
        set(prepared.patients[rows].tolist())
        for _, rows in cutter.split(kind, kind, prepared.patients)
    ]
    return [hold_out(present, patients) for patients in held]
