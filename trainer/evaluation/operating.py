"""Choose calibration and thresholds on validation patients, and only there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from trainer.evaluation.blobs import Blobs, blobs, together
from trainer.evaluation.seen import Copy, Seen
from worker.munet.card import CLASSES, OperatingPoint, Platt, Scoring
from worker.munet.inference import calibrate, slice_logits, study_logits

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
MOST = 0.85  # of what is there, that a balanced point must find
LEAST = 10  # studies of each kind: below that a threshold is a guess
STRENGTH = 1.0  # of the pull towards a flat line: a dozen patients can't pin down two numbers

Limit = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.floating]], float]


def calibrated(seen: Sequence[Seen], scoring: Scoring, copies: Sequence[Copy] = ()) -> Scoring:
    """Fit the lines that make probabilities of logits, for slices and, with copies, for studies."""
    slices = np.concatenate([slice_logits(study.maps, scoring) for study in seen])
    heads = [*(study.copy() for study in seen), *copies]
    studies = np.stack([study_logits(head.maps, scoring) for head in heads])
    return replace(
        scoring,
        calibrated=True,
        slice=platt(slices, np.concatenate([study.truth for study in seen])),
        study=platt(studies, np.stack([head.truth for head in heads])),
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


def points(
    seen: Sequence[Seen], scoring: Scoring, copies: Sequence[Copy] = ()
) -> dict[str, OperatingPoint]:
    """Choose every operating point: thresholds by its rule, a study's with copies; then masks.

    Where all studies are told apart each rule stops at another place of the same gap; a point that
    is named for sensitivity must never call less than another.
    """
    scores = Scores.of(seen, scoring, copies)
    rising = sorted(limit(scores.bleeds, scores.any) for limit in POINTS.values())
    counted = {mask: masks_at(seen, mask) for mask in MASKS}
    return {
        name: best_masks(scores, counted, thresholds(scores, limit, study_any))
        for (name, limit), study_any in zip(POINTS.items(), rising, strict=True)
    }


@dataclass(frozen=True)
class Scores:
    """Calibrated probabilities beside what is there."""

    slices: npt.NDArray[np.float32]  # (slice, 6), of all patients in a row
    slice_truth: npt.NDArray[np.bool_]  # (slice, 6)
    lengths: tuple[int, ...]  # slices of each patient
    studies: npt.NDArray[np.float32]  # (study, 6), patients first, then copies
    study_truth: npt.NDArray[np.bool_]  # (study, 6)

    @classmethod
    def of(cls, seen: Sequence[Seen], scoring: Scoring, copies: Sequence[Copy]) -> "Scores":
        """Read raw answers."""
        heads = [*(study.copy() for study in seen), *copies]
        slices = np.concatenate([slice_logits(study.maps, scoring) for study in seen])
        studies = np.stack([study_logits(head.maps, scoring) for head in heads])
        return cls(
            calibrate(slices, scoring.slice),
            np.concatenate([study.truth for study in seen]),
            tuple(len(study.types) for study in seen),
            calibrate(studies, scoring.study),
            np.stack([head.truth for head in heads]),
        )

    @property
    def any(self) -> npt.NDArray[np.float32]:
        """Score of each study, copies included."""
        return self.studies[:, -1]

    @property
    def bleeds(self) -> npt.NDArray[np.bool_]:
        """Whether there is blood in each study, copies included."""
        return self.study_truth[:, -1]


def thresholds(scores: Scores, limit: Limit, study_any: float) -> OperatingPoint:
    """Return the point whose masks are still to be chosen."""
    kinds = range(len(CLASSES))
    return OperatingPoint(
        study_gate=study_any,  # only what is called is outlined
        slice_any=limit(scores.slice_truth[:, -1], scores.slices[:, -1]),
        study_any=study_any,
        types=tuple(limit(scores.study_truth[:, i], scores.studies[:, i]) for i in kinds),
    )


def balanced(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Of the thresholds that find 85 %, that with the highest sensitivity + specificity."""
    return _limit(truth, score, _apart)


def sensitive(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Highest threshold that finds 95 % of what is there."""
    return _limit(truth, score, lambda _, true: int(np.argmax(true >= FOUND)))


def precise(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Lowest threshold that leaves 95 % of the healthy alone, which a high PPV asks for.

    Where none does that calls anybody, as when the highest of few is healthy, the balanced one.
    """
    return _limit(truth, score, lambda false, true: _quiet(false) or _apart(false, true))


def _apart(false: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> int:
    return int(np.argmax(np.where(true >= MOST, true - false, -1)))


def _quiet(false: npt.NDArray[np.float64]) -> int:
    """Return the last point that leaves enough of the healthy alone; the first, 0, calls nobody."""
    return int(np.flatnonzero(false <= 1 - FOUND)[-1])


POINTS: Mapping[str, Limit] = {
    "high-sensitivity": sensitive,
    "balanced": balanced,
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


def masks_at(seen: Sequence[Seen], mask: float) -> Blobs:
    """Count all components of all patients at one mask threshold."""
    return together([blobs(study.maps.any_map, study.masks, mask) for study in seen])


def best_masks(
    scores: Scores, counted: Mapping[float, Blobs], point: OperatingPoint
) -> OperatingPoint:
    """Search mask threshold, seed, size and gate for the highest Dice, pooled and by slice.

    On the network's grid; the two kinds of Dice count alike.
    """
    study = np.repeat(scores.any[: len(scores.lengths)], scores.lengths)
    score, tried = scores.slices[:, -1], []
    for mask, blobs_there in counted.items():
        for seed, size, gate in product(SEEDS, SIZES, GATES):
            if seed >= mask:
                candidate = replace(point, mask=mask, seed=seed, minimum_px=size, slice_gate=gate)
                shown = (score >= gate) & (study >= point.study_gate)
                counts = blobs_there.sifted(candidate, shown)
                tried.append((counts.dice + counts.with_blood.mean_dice, candidate))
    return max(tried, key=lambda pair: pair[0])[1]
