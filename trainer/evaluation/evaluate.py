"""Figures of a checkpoint in the shape of the contract (`design.md`, "Trainer").

Two protocols that never share a table: `segmentation` by type and `classification` are the
paper's, on slices with exactly one type of hemorrhage; `any`, `slice_any` and `study_any` are the
clinical ones, on every slice of every patient.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix

from trainer.evaluation.clinical import PREVALENCES, clinical_figures
from trainer.evaluation.intervals import bootstrap, shares
from trainer.evaluation.metrics import auc, intraclass, ratio, sensitivity, specificity
from trainer.evaluation.studies import Study
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
        "patients": [study.patient for study in studies],
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
    types, truth = _column(studies, "types"), _column(studies, "truth_px")
    found, both = _column(studies, "found_px"), _column(studies, "both_px")
    single = types.sum(axis=1) == 1
    report: dict[str, Any] = {}
    for index, name in enumerate(CLASSES):
        rows = single & types[:, index]
        report[name] = overlap(truth[rows], found[rows, index], both[rows, index])
        report[name]["patients"] = with_type(studies, index)
    present = [report[name] for name in CLASSES if report[name]["slices"]]
    report["mean"] = {
        key: float(np.mean([figures[key] for figures in present])) if present else math.nan
        for key in ("dice", "iou")
    }
    known = [figures["icc"] for figures in present if not math.isnan(figures["icc"])]
    report["mean"]["icc"] = float(np.mean(known)) if known else math.nan
    bloody = types.any(axis=1)
    report["any"] = {
        "dice": ratio(2 * both[:, -1].sum(), truth.sum() + found[:, -1].sum()),
        "iou": ratio(both[:, -1].sum(), truth.sum() + found[:, -1].sum() - both[:, -1].sum()),
        "mean_dice": overlap(truth[bloody], found[bloody, -1], both[bloody, -1])["dice"],
        "slices": int(bloody.sum()),
    }
    return report


def with_type(studies: Sequence[Study], index: int) -> int:
    """Count the patients who have a slice with this type alone."""
    return sum(bool((s.types[:, index] & (s.types.sum(axis=1) == 1)).any()) for s in studies)


def overlap(
    truth: npt.NDArray[np.int64], found: npt.NDArray[np.int64], both: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Mean Dice and IoU over slices, and the agreement of areas, from pixel counts (slice,)."""
    if not len(truth):
        return {"dice": math.nan, "iou": math.nan, "icc": math.nan, "slices": 0}
    whole = np.maximum(truth + found, 1)
    return {
        "dice": float(np.mean(2 * both / whole)),
        "iou": float(np.mean(both / np.maximum(truth + found - both, 1))),
        "icc": intraclass(truth.astype(float), found.astype(float)),
        "slices": len(truth),
    }


def classification(studies: Sequence[Study]) -> dict[str, Any]:
    """Return the paper's tables 9 to 11: argmax over five types, slices with one type."""
    types = _column(studies, "types")
    single = types.sum(axis=1) == 1
    scores = _column(studies, "slice_probabilities")[single, : len(CLASSES)]
    truth = types[single].argmax(axis=1)
    called = scores.argmax(axis=1)
    report: dict[str, Any] = {
        "accuracy": ratio(int((truth == called).sum()), len(truth)),
        "balanced_accuracy": balanced(truth, called),
    }
    # Averaged over a head each type has a level of its own in each head, so only its lead over the
    # best other type can be compared between slices.
    lead = leads(scores)
    for index, name in enumerate(CLASSES):
        report[name] = one_against_all(truth == index, called == index, lead[:, index])
    numbers = range(len(CLASSES))
    empty = np.zeros((len(CLASSES),) * 2, int)
    matrix = confusion_matrix(truth, called, labels=list(numbers)) if len(truth) else empty
    return report | {"confusion": matrix.tolist()}


def balanced(truth: npt.NDArray[np.intp], called: npt.NDArray[np.intp]) -> float:
    """Mean over the types that are there of the share that is called right."""
    shares = [
        ratio(int((called[truth == kind] == kind).sum()), int((truth == kind).sum()))
        for kind in np.unique(truth)
    ]
    return float(np.mean(shares)) if shares else math.nan


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

    def figures(drawn: Sequence[Study]) -> dict[str, float]:
        score = [study.slice_probabilities[:, -1] for study in drawn]
        called = [s >= study.point.slice_any for s, study in zip(score, drawn, strict=True)]
        return yes_or_no(_column(drawn, "positive"), np.concatenate(score), np.concatenate(called))

    intervals = bootstrap(len(studies), lambda rows: figures([studies[row] for row in rows]))
    return figures(studies) | {"ci95": intervals}


def study_any(studies: Sequence[Study]) -> dict[str, Any]:
    """Any hemorrhage in a study; exact intervals of shares, by bootstrap of AUC."""
    truth = np.array([bool(study.positive.any()) for study in studies])
    score = np.array([study.probabilities[-1] for study in studies])
    called = np.array([study.called for study in studies])

    def again(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        return yes_or_no(truth[rows], score[rows], called[rows])

    intervals = bootstrap(len(studies), again) | shares(truth, called)
    return yes_or_no(truth, score, called) | {"ci95": intervals}


def yes_or_no(
    truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating], called: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """AUC, and sensitivity and specificity of what was called."""
    return {
        "auc": auc(truth, score),
        "sensitivity": sensitivity(truth, called),
        "specificity": specificity(truth, called),
    }
