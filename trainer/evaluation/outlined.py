"""Types as a reader gets to see them: on what is outlined, with a miss and no answer as errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.evaluation.metrics import mean, one_type, ratio
from trainer.evaluation.studies import Study
from worker.munet.card import CLASSES, Claim

UNCERTAIN, MISSED = len(CLASSES), len(CLASSES) + 1
ANSWERS = (*CLASSES, "uncertain", "missed")
FEW = 10  # patients: below that nothing is claimed of a type


@dataclass(frozen=True)
class OutlinedTypes:
    """The types of slices with exactly one, and as what most of their outlined blood is shown."""

    truth: npt.NDArray[np.intp]  # (slice,) index of the type
    called: npt.NDArray[np.intp]  # (slice,) index of the type, UNCERTAIN or MISSED

    @classmethod
    def of(cls, studies: Sequence[Study]) -> "OutlinedTypes":
        """Take the answer of the largest area in each slice with one type."""
        types = np.concatenate([study.types for study in studies])
        found = np.concatenate([study.found_px for study in studies])
        single = one_type(types)
        return cls(types[single].argmax(axis=1), called_by_area(found[single]))

    @property
    def confusion(self) -> npt.NDArray[np.intp]:
        """Slices by true type and by ANSWERS, (5, 7)."""
        counts = np.zeros((len(CLASSES), len(ANSWERS)), np.intp)
        np.add.at(counts, (self.truth, self.called), 1)
        return counts

    @property
    def recalls(self) -> npt.NDArray[np.floating]:
        """Share of each type's slices that is called right; NaN of a type that nobody has."""
        counts = self.confusion
        shares = [ratio(row[index], row.sum()) for index, row in enumerate(counts)]
        return np.array(shares)

    @property
    def accuracy(self) -> float:
        """Share of all slices that is called right; a miss and no answer are not."""
        return ratio(int((self.truth == self.called).sum()), len(self.truth))

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the same share over the types that are there."""
        return mean(self.recalls[~np.isnan(self.recalls)])


def called_by_area(found_px: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Answer for slices (slice, 6) of pixels found by type and any; any of no type is uncertain."""
    types, every = found_px[:, : len(CLASSES)], found_px[:, -1]
    areas = np.column_stack((types, every - types.sum(axis=1)))
    return np.where(every > 0, areas.argmax(axis=1), MISSED)


def outlined(studies: Sequence[Study]) -> dict[str, Any]:
    """Put the figures together."""
    calls = OutlinedTypes.of(studies)
    return {
        "accuracy": calls.accuracy,
        "balanced_accuracy": calls.balanced_accuracy,
        "uncertain": int((calls.called == UNCERTAIN).sum()),
        "missed": int((calls.called == MISSED).sum()),
        "confusion": calls.confusion.tolist(),
        "claims": claims(calls, [with_type(studies, index) for index in range(len(CLASSES))]),
    }


def claims(calls: OutlinedTypes, patients: Sequence[int]) -> Mapping[str, Claim]:
    """Say by rule how much of each type these figures allow a card to claim.

    Of FEW patients or more with slices of the type alone: reported is one with 80 % of its slices
    and 60 % of its calls right, hinted at is one with a third of its slices right.
    """
    counts, made = calls.confusion, {}
    for index, name in enumerate(CLASSES):
        right = counts[index, index]
        of_slices, of_calls = (
            ratio(right, counts[index].sum()),
            ratio(right, counts[:, index].sum()),
        )
        claim: Claim = "NOT_TOLD_APART"
        if patients[index] >= FEW and of_slices >= 1 / 3:
            claim = "REPORTED" if of_slices >= 0.8 and of_calls >= 0.6 else "HINTED"
        made[name] = claim
    return made


def with_type(studies: Sequence[Study], index: int) -> int:
    """Count the patients who have a slice with this type alone."""
    return sum(bool((s.types[:, index] & one_type(s.types)).any()) for s in studies)
