"""The clinical protocol beyond yes and no: volumes, calibration, false alarms, PPV.

Every slice of every named patient counts, healthy heads included.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import binary_calibration_error

from trainer.evaluation.intervals import RESAMPLES, bootstrap, exact, shares
from trainer.evaluation.metrics import ratio, sensitivity, specificity
from trainer.evaluation.studies import Study, are_people, by_slice, by_study, patients_of

BINS_ML = (0.0, 1.0, 5.0, 25.0, math.inf)
PREVALENCES = (0.05, 0.1, 0.2)
CALIBRATION_BINS = 10


def clinical_figures(
    studies: Sequence[Study], prevalences: Sequence[float] = PREVALENCES
) -> dict[str, Any]:
    """Put all of them together, at each study's own operating point."""
    slices, whole = by_slice(studies), by_study(studies)
    right = sensitivity(whole.truth, whole.called), specificity(whole.truth, whole.called)
    return {
        "sensitivity_by_volume": by_volume(studies),
        "volume_error_ml": volume_error(studies),
        "calibration": {
            "slice": calibration(slices.truth, slices.score),
            "study": calibration(whole.truth, whole.score)
            | {"ece_by_chance": error_by_chance(whole.score)},
        },
        "healthy": false_alarms(studies),
        "predictive": [
            predictive(*right, prevalence) | _ends(exact_shares(studies), prevalence)
            for prevalence in prevalences
        ],
    }


def by_volume(studies: Sequence[Study]) -> list[dict[str, Any]]:
    """Sensitivity by study for bleeds of less than 1, 1 to 5, 5 to 25 and more than 25 mL."""
    rows = []
    for low, high in pairwise(BINS_ML):
        inside = [study for study in studies if study.bleeds and low <= study.volume_ml[0] < high]
        called = np.array([s.called for s in inside], np.bool_)
        row = {"from_ml": low, "to_ml": high if math.isfinite(high) else None}
        hits, cases = int(called.sum()), len(inside)
        interval = exact(hits, cases) if are_people(inside) else []
        figures = {"sensitivity": ratio(hits, cases), "ci95": interval}
        rows.append({**row, "studies": cases, **figures})
    return rows


def exact_shares(studies: Sequence[Study]) -> dict[str, list[float]]:
    """Exact intervals of sensitivity and specificity by study.

    None where somebody has several scans: they are no independent cases, and are drawn together.
    """
    if not are_people(studies):
        return {}
    whole = by_study(studies)
    return shares(whole.truth, whole.called)


def volume_error(studies: Sequence[Study]) -> dict[str, Any]:
    """Found minus true volume of the studies that bleed: bias, limits of agreement, absolute.

    Limits of agreement are bias +- 1.96 standard deviations (Bland and Altman 1986).
    """
    bleeding = [study for study in studies if study.bleeds]
    pairs = np.array([study.volume_ml for study in bleeding])
    if not len(pairs):
        return {"studies": 0, "bias": math.nan, "mean_absolute": math.nan, "limits": []}
    error = pairs[:, 1] - pairs[:, 0]

    def figures(rows: npt.NDArray[np.intp]) -> dict[str, float]:
        drawn = error[rows]
        return {"bias": float(drawn.mean()), "mean_absolute": float(np.abs(drawn).mean())}

    spread = 1.96 * float(error.std(ddof=1)) if len(error) > 1 else math.nan
    bias = float(error.mean())
    return {
        "studies": len(error),
        **figures(np.arange(len(error))),
        "limits": [bias - spread, bias + spread],
        "ci95": bootstrap(patients_of(bleeding), figures),
    }


def calibration(
    truth: npt.NDArray[np.bool_], probability: npt.NDArray[np.floating]
) -> dict[str, Any]:
    """Brier score, expected calibration error over ten even bins, and the reliability curve."""
    bins = bins_of(probability)
    error = binary_calibration_error(
        torch.from_numpy(probability.astype(np.float64)),
        torch.from_numpy(truth.astype(np.int64)),
        n_bins=CALIBRATION_BINS,
    )
    return {
        "brier": float(np.mean((probability - truth) ** 2)),
        "ece": float(error),
        "curve": [
            {
                "predicted": float(probability[bins == index].mean()),
                "observed": float(truth[bins == index].mean()),
                "count": int((bins == index).sum()),
            }
            for index in np.unique(bins)
        ],
    }


def bins_of(probability: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Which of ten even bins each probability falls into."""
    return np.minimum((probability * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)


def error_by_chance(probability: npt.NDArray[np.floating]) -> list[float]:
    """Calibration error that exactly true probabilities of so few patients have, its middle 95 %.

    Bins of few patients are off by chance alone, so 0 is out of reach.
    """
    if not len(probability):
        return []
    rng = np.random.default_rng(0)
    truth = rng.random((RESAMPLES, len(probability))) < probability
    inside = np.eye(CALIBRATION_BINS)[bins_of(probability)]  # (study, bin)
    errors = np.abs((truth - probability) @ inside).sum(axis=1) / len(probability)
    return np.asarray(np.quantile(errors, [0.025, 0.975])).tolist()  # type: ignore[no-any-return]


def false_alarms(studies: Sequence[Study]) -> dict[str, Any]:
    """Count what is found in patients without any hemorrhage."""
    healthy = [study for study in studies if not study.bleeds]
    slices = [int((s.slice_probabilities[:, -1] >= s.point.slice_any).sum()) for s in healthy]
    masks = [int((study.found_px[:, -1] > 0).sum()) for study in healthy]
    return {
        "studies": len(healthy),
        "slices_called_per_study": ratio(sum(slices), len(healthy)),
        "slices_with_mask_per_study": ratio(sum(masks), len(healthy)),
        "found_ml_per_study": ratio(sum(s.volume_ml[1] for s in healthy), len(healthy)),
    }


def _ends(intervals: Mapping[str, Sequence[float]], prevalence: float) -> dict[str, list[float]]:
    """PPV and NPV with sensitivity and specificity both at the ends of their exact intervals."""
    right, healthy_right = (intervals.get(name, ()) for name in ("sensitivity", "specificity"))
    ends = zip(right, healthy_right, strict=False)
    found = [predictive(*pair, prevalence) for pair in ends]
    return {f"{name}_range": [figures[name] for figures in found] for name in ("ppv", "npv")}


def predictive(right: float, healthy_right: float, prevalence: float) -> dict[str, float]:
    """Bayes: PPV and NPV of sensitivity and specificity by study at a prevalence."""
    hits, alarms = right * prevalence, (1 - healthy_right) * (1 - prevalence)
    passed, missed = healthy_right * (1 - prevalence), (1 - right) * prevalence
    return {
        "prevalence": prevalence,
        "ppv": ratio(hits, hits + alarms),
        "npv": ratio(passed, passed + missed),
    }
