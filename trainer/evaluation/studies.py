"""Run a checkpoint over whole patients on the source grid and count what it found."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.datasets.sources import (
    PUBLISHED_SPACING_MM,
    SLICE_INTERVAL_MM,
    Release,
    Slice,
    read_mask,
)
from trainer.evaluation.perturb import read_head
from worker.munet.card import CLASSES, LABELS, OperatingPoint
from worker.munet.inference import Prediction, Predictor

See = Callable[[Sequence[Slice], npt.NDArray[np.float32], Prediction], None]
ML_PER_PIXEL = PUBLISHED_SPACING_MM**2 * SLICE_INTERVAL_MM / 1000


def look_away(*_: object) -> None:
    """Keep nothing of what is shown."""


@dataclass(frozen=True)
class Study:
    """One patient: what is there and what was found, in source pixels."""

    patient: int
    types: npt.NDArray[np.bool_]  # (slice, 5)
    truth_px: npt.NDArray[np.int64]  # (slice,) blood
    found_px: npt.NDArray[np.int64]  # (slice, 6) found, by type and any
    both_px: npt.NDArray[np.int64]  # (slice, 6) found and there
    slice_probabilities: npt.NDArray[np.float32]  # (slice, 6)
    probabilities: npt.NDArray[np.float64]  # (6,)
    point: OperatingPoint  # at which it was evaluated
    ml_per_pixel: float = ML_PER_PIXEL

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Which slices hold blood, (slice,)."""
        return np.asarray(self.types.any(axis=1))

    @property
    def bleeds(self) -> bool:
        """Whether any slice holds blood."""
        return bool(self.positive.any())

    @property
    def called(self) -> bool:
        """Whether its operating point calls the study."""
        return bool(self.probabilities[-1] >= self.point.study_any)

    @property
    def volume_ml(self) -> tuple[float, float]:
        """True and found volume."""
        pixels = self.truth_px.sum(), self.found_px[:, -1].sum()
        return float(pixels[0] * self.ml_per_pixel), float(pixels[1] * self.ml_per_pixel)


def patients_of(studies: Sequence[Study]) -> list[int]:
    """Return whose studies they are, in their order."""
    return [study.patient for study in studies]


class Calls(NamedTuple):
    """Any hemorrhage in slices or in studies, (case,) each: there, its score, called."""

    truth: npt.NDArray[np.bool_]
    score: npt.NDArray[np.floating]
    called: npt.NDArray[np.bool_]


def by_slice(studies: Sequence[Study]) -> Calls:
    """Every slice, at its study's operating point."""
    truth = np.concatenate([study.positive for study in studies])
    score = np.concatenate([study.slice_probabilities[:, -1] for study in studies])
    bar = np.repeat([s.point.slice_any for s in studies], [len(s.types) for s in studies])
    return Calls(truth, score, score >= bar)


def by_study(studies: Sequence[Study]) -> Calls:
    """Every study, at its own operating point."""
    truth = np.array([study.bleeds for study in studies])
    score = np.array([study.probabilities[-1] for study in studies])
    return Calls(truth, score, np.array([study.called for study in studies]))


def predict_studies(
    predictor: Predictor, release: Release, patients: Sequence[int], see: See = look_away
) -> Iterator[Study]:
    """Predict one patient after the other, exactly as the worker would.

    Parameters
    ----------
    see
        Gets each patient's slices, HU and prediction, to keep pictures of.
    """
    for patient in patients:
        slices = release.of(patient)
        head = read_head(slices)
        found = predictor.predict(*head)
        see(slices, head.hu, found)
        yield study_of(slices, found, predictor.card.operating_point)


def study_of(slices: Sequence[Slice], found: Prediction, point: OperatingPoint) -> Study:
    """Set what was found in one patient's slices against what is there."""
    counts = [
        count(read_mask(ct_slice), labels)
        for ct_slice, labels in zip(slices, found.labels, strict=True)
    ]
    truth, areas, both = (np.array(column) for column in zip(*counts, strict=True))
    return Study(
        slices[0].patient,
        np.array([ct_slice.types for ct_slice in slices]),
        truth,
        areas,
        both,
        found.slice_probabilities,
        np.array([found.probabilities[name] for name in LABELS]),
        point,
        slices[0].ml_per_pixel,
    )


def count(
    truth: npt.NDArray[np.bool_], labels: npt.NDArray[np.uint8]
) -> tuple[int, list[int], list[int]]:
    """Pixels of blood, of each found label, and of both; the last label is any."""
    found = [labels == index + 1 for index in range(len(CLASSES))] + [labels > 0]
    return (
        int(truth.sum()),
        [int(mask.sum()) for mask in found],
        [int((mask & truth).sum()) for mask in found],
    )
