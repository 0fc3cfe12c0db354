"""Choose calibration and thresholds on validation patients, and only there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve
from torch import nn

from trainer.datasets.cache import Prepared
from trainer.evaluation.blobs import blobs, together
from worker.munet.card import CLASSES, OperatingPoint, Platt, Scoring
from worker.munet.device import resolve
from worker.munet.inference import Maps, calibrate, run, slice_logits, study_logits

MASKS, SEEDS, SIZES = (0.3, 0.4, 0.5, 0.6), (0.5, 0.7, 0.85, 0.95), (0, 8, 20)
GATES = (0.0, 0.05, 0.1, 0.2, 0.3)
# How any network is read, chosen once for all of them by cross-validation (docs/experiments.md):
# a dozen validation patients can't tell these apart. A head mostly bleeds in one way, so types are
# averaged over most of it.
SCORING = Scoring(
    flip=True,
    mask_weight=0.5,
    share_weight=0.3,
    smooth_mm=5.0,
    types_mm=80.0,
    top=1,
    study_mm=3.0,
    whole_bleeds=True,
)
FOUND = 0.95  # of what is there, at high-sensitivity; of what is healthy left alone, at high-ppv
STRENGTH = 1.0  # of the pull towards a flat line: a dozen patients can't pin down two numbers

Limit = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.floating]], float]


@dataclass(frozen=True)
class Seen:
    """One validation patient and the network's raw answer."""

    maps: Maps
    types: npt.NDArray[np.bool_]  # (slice, 5)
    masks: npt.NDArray[np.bool_]  # (slice, 256, 256)

    @property
    def truth(self) -> npt.NDArray[np.bool_]:
        """Types and any, (slice, 6)."""
        return np.column_stack((self.types, self.types.any(axis=1)))


def look(
    network: nn.Module, prepared: Prepared, patients: Sequence[int], scoring: Scoring
) -> list[Seen]:
    """Run the network over whole patients."""
    found, device = [], resolve("auto")
    network = network.to(device)
    for patient in patients:
        rows = prepared.where([patient])
        maps = run(network, prepared.series(patient), scoring, device)
        found.append(Seen(maps, prepared.types[rows], prepared.masks[rows]))
    return found


def calibrated(seen: Sequence[Seen], scoring: Scoring) -> Scoring:
    """Fit the lines that make probabilities of logits, for slices and for studies."""
    slices = np.concatenate([slice_logits(study.maps, scoring) for study in seen])
    studies = np.stack([study_logits(study.maps, scoring) for study in seen])
    return replace(
        scoring,
        calibrated=True,
        slice=platt(slices, np.concatenate([study.truth for study in seen])),
        study=platt(studies, np.stack([study.truth.any(axis=0) for study in seen])),
    )


def platt(logits: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> Platt:
    """Fit one rising line for "any" and one for all types together.

    A line of its own would give each type its frequency among these patients, so that the likeliest
    of the five would nearly always be the commonest, whatever a slice shows.
    """
    types = _line(logits[:, :-1].ravel(), truth[:, :-1].ravel())
    lines = [types] * len(CLASSES) + [_line(logits[:, -1], truth[:, -1])]
    return Platt(*(tuple(column) for column in zip(*lines, strict=True)))


def _line(logits: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> tuple[float, float]:
    if truth.all() or not truth.any():
        return 1.0, 0.0
    fitted = LogisticRegression(C=STRENGTH).fit(logits[:, None], truth)
    slope, intercept = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return (slope, intercept) if slope > 0 else (1.0, 0.0)


def choose(seen: Sequence[Seen], scoring: Scoring, limit: Limit) -> OperatingPoint:
    """Choose an operating point: thresholds by `limit`, then best masks."""
    slices = [calibrate(slice_logits(study.maps, scoring), scoring.slice) for study in seen]
    studies = np.stack(
        [calibrate(study_logits(study.maps, scoring), scoring.study) for study in seen]
    )
    truth = np.stack([study.truth.any(axis=0) for study in seen])
    every = np.concatenate([study.truth[:, -1] for study in seen])
    study_limit = limit(truth[:, -1], studies[:, -1])
    point = OperatingPoint(
        study_gate=study_limit / 2,
        slice_any=limit(every, np.concatenate(slices)[:, -1]),
        study_any=study_limit,
        types=tuple(limit(truth[:, i], studies[:, i]) for i in range(len(CLASSES))),
    )
    return best_masks(seen, slices, studies[:, -1], point)


def youden(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Threshold with the highest sensitivity + specificity."""
    return _limit(truth, score, lambda false, true: int(np.argmax(true - false)))


def sensitive(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Highest threshold that finds 95 % of what is there."""
    return _limit(truth, score, lambda _, true: int(np.argmax(true >= FOUND)))


def precise(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Lowest threshold that leaves 95 % of the healthy alone, which a high PPV asks for."""
    return _limit(truth, score, lambda false, _: int(np.flatnonzero(false <= 1 - FOUND)[-1]))


POINTS: Mapping[str, Limit] = {
    "high-sensitivity": sensitive,
    "balanced": youden,
    "high-ppv": precise,
}


def _limit(
    truth: npt.NDArray[np.bool_],
    score: npt.NDArray[np.floating],
    pick: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], int],
) -> float:
    """Pick a point of the ROC curve; the threshold lies half-way to the next lower score."""
    if truth.all() or not truth.any():
        return 0.5
    false, true, limits = roc_curve(truth, score, drop_intermediate=False)
    chosen = limits[pick(false, true)]
    lower = score[score < chosen]
    return float(np.clip((chosen + (lower.max() if len(lower) else 0.0)) / 2, 0.0, 1.0))


def best_masks(
    seen: Sequence[Seen],
    slices: Sequence[npt.NDArray[np.float32]],
    studies: npt.NDArray[np.floating],
    point: OperatingPoint,
) -> OperatingPoint:
    """Search mask threshold, seed, size and gate for the highest Dice, pooled and by slice.

    On the network's grid; the two kinds of Dice count alike.
    """
    study = np.repeat(studies, [len(study.types) for study in seen])
    score = np.concatenate(slices)[:, -1]
    tried = []
    for mask in MASKS:
        counted = together([blobs(study.maps.any_map, study.masks, mask) for study in seen])
        for seed, size, gate in product(SEEDS, SIZES, GATES):
            if seed >= mask:
                candidate = replace(point, mask=mask, seed=seed, minimum_px=size, slice_gate=gate)
                shown = (score >= gate) & (study >= point.study_gate)
                counts = counted.sifted(candidate, shown)
                tried.append((counts.dice + counts.with_blood.mean_dice, candidate))
    return max(tried, key=lambda pair: pair[0])[1]
