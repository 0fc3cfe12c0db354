"""Figures of a checkpoint in the shape of the contract (`design.md`, "Trainer").

Two protocols that never share a table: `segmentation` by type and `classification` are the
paper's, on slices with exactly one type of hemorrhage, masks also on those with several whose
pixels' types are known; `any`, `slice_any` and `study_any` are the clinical ones, on every slice
of every patient.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from trainer.datasets.people import people
from trainer.evaluation.clinical import PREVALENCES, clinical_figures, exact_shares
from trainer.evaluation.intervals import FEWEST, bootstrap, without
from trainer.evaluation.metrics import (
    CalledTypes,
    PixelCounts,
    auc,
    intraclass,
    mean,
    one_type,
    ratio,
    sensitivity,
    specificity,
)
from trainer.evaluation.outlined import outlined
from trainer.evaluation.studies import Study, by_slice, by_study, kinds_of_people, patients_of
from worker.munet.card import CLASSES


def evaluate(
    studies: Sequence[Study],
    name: str,
    sha256: str,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """Put all figures of some evaluated patients together."""
    return {
        "model": {"name": name, "sha256": sha256},
        "patients": patients_of(studies),
        "slices": sum(len(study.types) for study in studies),
        "segmentation": segmentation(studies),
        "classification": classification(studies),
        "slice_any": slice_any(studies),
        "study_any": study_any(studies),
        "clinical": clinical_figures(studies, prevalences),
    }


def _column(studies: Sequence[Study], name: str) -> npt.NDArray[Any]:
    return np.concatenate([getattr(study, name) for study in studies])


def segmentation(studies: Sequence[Study]) -> dict[str, Any]:
    """Dice and IoU (equations 11, 12) by type as means over slices, and any pooled over voxels."""
    types, told = _column(studies, "types"), _column(studies, "told")
    report: dict[str, Any] = {
        name: {
            **overlap(pixel_counts(studies, index).where(told[:, index])),
            "patients": len(people({s.patient for s in studies if s.told[:, index].any()})),
        }
        for index, name in enumerate(CLASSES)
    }
    present = [report[name] for name in CLASSES if report[name]["slices"]]
    report["mean"] = {
        key: mean([figures[key] for figures in present if not math.isnan(figures[key])])
        for key in ("dice", "iou", "icc")
    }
    every, bloody = pixel_counts(studies), np.asarray(types.any(axis=1))
    report["any"] = {
        "dice": every.dice,
        "iou": every.iou,
        "mean_dice": every.where(bloody).mean_dice,
        "slices": int(bloody.sum()),
    }
    return report


def pixel_counts(studies: Sequence[Study], index: int = -1) -> PixelCounts:
    """Count the pixels of all slices for one type; of any type without an index."""
    names = ("truth_px", "found_px", "both_px")
    return PixelCounts(*(_column(studies, name)[:, index] for name in names))


def overlap(counts: PixelCounts) -> dict[str, float]:
    """Mean Dice and IoU over slices, and the agreement of areas."""
    return {
        "dice": counts.mean_dice,
        "iou": counts.mean_iou,
        "icc": intraclass(counts.truth.astype(float), counts.found.astype(float)),
        "slices": len(counts.truth),
    }


def classification(studies: Sequence[Study]) -> dict[str, Any]:
    """Return the paper's tables 9 to 11: argmax over five types, slices with one type.

    `outlined` has the same of what is outlined, where a slice may be missed or left uncertain.
    """
    types, scores = _column(studies, "types"), _column(studies, "slice_probabilities")
    calls = CalledTypes.of(scores, types)
    report: dict[str, Any] = {
        "accuracy": calls.accuracy,
        "balanced_accuracy": calls.balanced_accuracy,
    }
    # Averaged over a head each type has a level of its own in each head, so only its lead over the
    # best other type can be compared between slices.
    lead = leads(scores[one_type(types), : len(CLASSES)])
    for index, name in enumerate(CLASSES):
        report[name] = one_against_all(calls.truth == index, calls.called == index, lead[:, index])
    numbers = list(range(len(CLASSES)))
    matrix = np.zeros((len(CLASSES),) * 2, int)
    if len(calls.truth):
        matrix = confusion_matrix(calls.truth, calls.called, labels=numbers)
    return report | {"confusion": matrix.tolist(), "outlined": outlined(studies)}


def leads(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """How far each type's logit lies above the best other one's, (slice, 5)."""
    logits = np.log(np.clip(scores, 1e-6, 1 - 1e-6) / (1 - np.clip(scores, 1e-6, 1 - 1e-6)))
    others = [np.delete(logits, index, axis=1).max(axis=1) for index in range(logits.shape[1])]
    return np.asarray(logits - np.stack(others, axis=1))


def one_against_all(
    truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]
) -> dict[str, float]:
    """Equations 7 to 10 for one type."""
    right = int((truth & called).sum())
    return {
        "precision": ratio(right, int(called.sum())),
        "recall": sensitivity(truth, called),
        "f1": ratio(2 * right, int(truth.sum()) + int(called.sum())),
        "specificity": specificity(truth, called),
        "auc": auc(truth, score),
    }


def slice_any(studies: Sequence[Study]) -> dict[str, Any]:
    """Any hemorrhage in a slice, with 95 % intervals by bootstrap over patients."""

    def again(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return yes_or_no(*by_slice([studies[row] for row in rows]))

    drawn = bootstrap(patients_of(studies), again)
    unsure = ("auc", "sensitivity") if kinds_of_people(studies)[0] < FEWEST else ()
    return yes_or_no(*by_slice(studies)) | {"ci95": without(drawn, unsure)}


def study_any(studies: Sequence[Study]) -> dict[str, Any]:
    """Any hemorrhage in a study; exact intervals of shares, by bootstrap of AUC."""
    whole = by_study(studies)

    def again(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return yes_or_no(whole.truth[rows], whole.score[rows], whole.called[rows])

    drawn = bootstrap(patients_of(studies), again)
    unsure = drawn if min(kinds_of_people(studies)) < FEWEST else ()
    return yes_or_no(*whole) | {"ci95": without(drawn, unsure) | exact_shares(studies)}


def yes_or_no(
    truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating], called: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """AUC, and sensitivity and specificity of what was called."""
    return {
        "auc": auc(truth, score),
        "sensitivity": sensitivity(truth, called),
        "specificity": specificity(truth, called),
    }
