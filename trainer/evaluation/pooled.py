"""Figures over many patients with 95 % intervals by bootstrap over the patients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainer.datasets.people import rows_of_people
from trainer.evaluation.clinical import exact_shares
from trainer.evaluation.evaluate import pixel_counts
from trainer.evaluation.intervals import FEWEST, bootstrap, without
from trainer.evaluation.metrics import CalledTypes, auc, mean, one_type, sensitivity, specificity
from trainer.evaluation.outlined import shown_types
from trainer.evaluation.studies import Study, by_slice, by_study, kinds_of_people, patients_of
from worker.munet.card import CLASSES

Figures = Callable[[Sequence[Study]], dict[str, float]]
OF_BLOOD = ("any_dice", "any_dice_by_slice", "slice_auc", "slice_sensitivity", "study_auc")
Kinds = npt.NDArray[np.bool_]  # (patient, 5)


@dataclass(frozen=True)
class Measured:
    """A figure and its 95 % interval; no interval where the figure can't be measured."""

    value: float
    ci95: tuple[float, ...] = ()


def clinical(studies: Sequence[Study]) -> dict[str, float]:
    """Any hemorrhage, on every slice of every patient."""
    slices, whole, counts = by_slice(studies), by_study(studies), pixel_counts(studies)
    return {
        "any_dice": counts.dice,
        "any_dice_by_slice": counts.where(slices.truth).mean_dice,
        "slice_auc": auc(slices.truth, slices.score),
        "study_auc": auc(whole.truth, whole.score),
        "slice_sensitivity": sensitivity(slices.truth, slices.called),
        "slice_specificity": specificity(slices.truth, slices.called),
        "study_sensitivity": sensitivity(whole.truth, whole.called),
        "study_specificity": specificity(whole.truth, whole.called),
    }


def paper(studies: Sequence[Study]) -> dict[str, float]:
    """Types by the paper's protocol: slices with exactly one, argmax over the five."""
    types = np.concatenate([study.types for study in studies])
    calls = CalledTypes.of(np.concatenate([s.slice_probabilities for s in studies]), types)
    outlined = shown_types(studies)
    figures = {
        "type_accuracy": calls.accuracy,
        "type_balanced_accuracy": calls.balanced_accuracy,
        "outlined_accuracy": outlined.accuracy,
        "outlined_balanced_accuracy": outlined.balanced_accuracy,
    }
    told = np.concatenate([study.told for study in studies])
    for index, name in enumerate(CLASSES):
        counts = pixel_counts(studies, index).where(told[:, index])
        figures |= {f"{name}_dice": counts.mean_dice, f"{name}_iou": counts.mean_iou}
    for key in ("dice", "iou"):
        values = [figures[f"{name}_{key}"] for name in CLASSES]
        figures[f"mean_{key}"] = mean([value for value in values if not np.isnan(value)])
    return figures


def measured(studies: Sequence[Study], figures: Figures) -> dict[str, Measured]:
    """Each figure with its interval over patients drawn with replacement.

    A type that one patient alone has gets none, nor has a mean over types with such a one: drawing
    that patient again tells nothing. A draw without a type says nothing of the mean.
    """
    values = figures(studies)
    intervals = _drawn(studies, lambda rows: figures([studies[row] for row in rows]))
    if "study_sensitivity" in intervals:
        intervals |= {f"study_{name}": ends for name, ends in exact_shares(studies).items()}
    return _together(values, intervals)


def gain(ours: Sequence[Study], theirs: Sequence[Study], figures: Figures) -> dict[str, Measured]:
    """Each figure of ours minus theirs; both sides of a difference are of the same patients.

    Raises
    ------
    ValueError
        The two evaluated different patients.
    """
    if patients_of(ours) != patients_of(theirs):
        raise ValueError("a gain needs the same patients on both sides")

    def difference(rows: Sequence[int]) -> dict[str, float]:
        better, worse = (figures([side[row] for row in rows]) for side in (ours, theirs))
        return {name: better[name] - worse[name] for name in better}

    return _together(difference(range(len(ours))), _drawn(ours, difference))


def _drawn(
    studies: Sequence[Study], figures: Callable[[Sequence[int]], dict[str, float]]
) -> dict[str, list[float]]:
    """Interval of each figure over draws of patients, by their rows."""
    kinds = {name: of(studies) for name, of in OVER_TYPES.items()}

    def complete(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        found = figures(rows.tolist())
        lost = [
            key for key, has in kinds.items() if (has.any(axis=0) & ~has[rows].any(axis=0)).any()
        ]
        return found | dict.fromkeys(found.keys() & set(lost), np.nan)

    patients = patients_of(studies)
    intervals = bootstrap(patients, complete)
    return without(intervals, _of_one_person(kinds, patients) | _of_few(studies))


def _of_few(studies: Sequence[Study]) -> set[str]:
    """Name the figures of any blood that stand on fewer people than tell of the next."""
    bleeding, healthy = kinds_of_people(studies)
    unsure = set(OF_BLOOD) if bleeding < FEWEST else set()
    return unsure | ({"study_auc"} if healthy < FEWEST else set())


def _of_one_person(kinds: Mapping[str, Kinds], patients: Sequence[int]) -> set[str]:
    """Name the figures that stand on a type which one person alone has."""
    found: set[str] = set()
    for key, has in kinds.items():
        whose = np.array(
            [has[rows].any(axis=0) for rows in rows_of_people(patients)]
        )  # (person, 5)
        rare = [name for name, once in zip(CLASSES, whose.sum(axis=0) == 1, strict=True) if once]
        of_type = key.removeprefix("mean")
        found |= {key, *(f"{name}{of_type}" for name in rare)} if rare else set()
    return found


def _alone(studies: Sequence[Study]) -> Kinds:
    """Which types each patient shows in a slice without another."""
    return np.array([study.types[one_type(study.types)].any(axis=0) for study in studies])


def _told(studies: Sequence[Study]) -> Kinds:
    """Which types each patient shows in a slice where it is known which pixels are whose."""
    return np.array([study.told.any(axis=0) for study in studies])


OVER_TYPES: Mapping[str, Callable[[Sequence[Study]], Kinds]] = {
    "mean_dice": _told,
    "mean_iou": _told,
    "type_balanced_accuracy": _alone,
    "outlined_balanced_accuracy": _alone,
}


def _together(
    values: Mapping[str, float], intervals: Mapping[str, Sequence[float]]
) -> dict[str, Measured]:
    return {name: Measured(value, tuple(intervals[name])) for name, value in values.items()}
