"""Types as a reader gets to see them: on what is outlined, with a miss and no answer as errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.datasets.people import people
from trainer.evaluation.metrics import MISSED, UNCERTAIN, OutlinedTypes, one_type, ratio
from trainer.evaluation.studies import Study
from worker.munet.card import CLASSES, Claim

FEW = 10  # people: below that nothing is claimed of a type


def shown_types(studies: Sequence[Study]) -> OutlinedTypes:
    """Call the slices of evaluated patients that have one type."""
    found = np.concatenate([study.found_px for study in studies])
    return OutlinedTypes.of(found, np.concatenate([study.types for study in studies]))


def outlined(studies: Sequence[Study]) -> dict[str, Any]:
    """Put the figures together."""
    calls = shown_types(studies)
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
    """Count the people who have a slice with this type alone."""
    return len(
        people({s.patient for s in studies if (s.types[:, index] & one_type(s.types)).any()})
    )
