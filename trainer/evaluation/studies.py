"""Run a checkpoint over whole patients on the source grid and count what it found."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.datasets.people import people
from trainer.datasets.sources import (
    PUBLISHED_SPACING_MM,
    SLICE_INTERVAL_MM,
    Release,
    Slice,
    read_mask,
    read_types,
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
    typed: npt.NDArray[np.bool_]  # (slice,) whether the type of each of its pixels is known
    truth_px: npt.NDArray[np.int64]  # (slice, 6) there, by type where it is known, and any
    found_px: npt.NDArray[np.int64]  # (slice, 6) found, by type and any
    both_px: npt.NDArray[np.int64]  # (slice, 6) found and there, of the same type
    slice_probabilities: npt.NDArray[np.float32]  # (slice, 6)
    probabilities: npt.NDArray[np.float64]  # (6,)
    point: OperatingPoint  # at which it was evaluated
    ml_per_pixel: float = ML_PER_PIXEL

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Which slices hold blood, (slice,)."""
        return np.asarray(self.types.any(axis=1))

    @property
    def told(self) -> npt.NDArray[np.bool_]:
        """Which types each slice shows, if it is known where in it, (slice, 5)."""
        return np.asarray(self.types & self.typed[:, None])

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
        pixels = self.truth_px[:, -1].sum(), self.found_px[:, -1].sum()
        return float(pixels[0] * self.ml_per_pixel), float(pixels[1] * self.ml_per_pixel)


def patients_of(studies: Sequence[Study]) -> list[int]:
    """Return whose studies they are, in their order."""
    return [study.patient for study in studies]


def are_people(studies: Sequence[Study]) -> bool:
    """Whether each scan is of another person, so that they are independent cases."""
    return len(people(patients_of(studies))) == len(studies)


def severity(bleeds: bool, called: bool) -> int:
    """Rank what went wrong with a study: nothing, a false alarm, a bleed that was missed."""
    return 0 if bleeds == called else 2 if bleeds else 1


def kinds_of_people(studies: Sequence[Study]) -> tuple[int, int]:
    """How many people have blood in a scan, and how many have a scan without."""
    with_blood = people([study.patient for study in studies if study.bleeds])
    without = people([study.patient for study in studies if not study.bleeds])
    return len(with_blood), len(without)


class Pixels(NamedTuple):
    """How many pixels of some slices are what, as a `Study` has them."""

    typed: npt.NDArray[np.bool_]
    truth_px: npt.NDArray[np.int64]
    found_px: npt.NDArray[np.int64]
    both_px: npt.NDArray[np.int64]


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
        found = predictor.predict(*head.series)
        see(slices, head.hu, found)
        yield study_of(slices, found, predictor.card.operating_point)


def study_of(slices: Sequence[Slice], found: Prediction, point: OperatingPoint) -> Study:
    """Set what was found in one patient's slices against what is there."""
    truth = [read_mask(ct_slice) for ct_slice in slices]
    kinds = [read_types(ct_slice, mask) for ct_slice, mask in zip(slices, truth, strict=True)]
    return Study(
        slices[0].patient,
        np.array([ct_slice.types for ct_slice in slices]),
        *counted(truth, kinds, found.labels),
        found.slice_probabilities,
        np.array([found.probabilities[name] for name in LABELS]),
        point,
        slices[0].ml_per_pixel,
    )


def counted(
    truth: Sequence[npt.NDArray[np.bool_]],
    kinds: Sequence[npt.NDArray[np.uint8] | None],
    labels: Iterable[npt.NDArray[np.uint8]],
) -> Pixels:
    """Count the pixels of some slices.

    Parameters
    ----------
    truth, kinds
        Blood of each slice and the type of each pixel, None where it isn't known, (row, column).
    labels
        What was found, of the same shape.
    """
    typed = np.array([kind is not None for kind in kinds])
    there = [_by_label(mask, kind) for mask, kind in zip(truth, kinds, strict=True)]
    found = [_by_label(frame > 0, frame) for frame in labels]
    both = [a & b for a, b in zip(there, found, strict=True)]
    areas = (np.array([layer.sum(axis=(1, 2)) for layer in part]) for part in (there, found, both))
    return Pixels(typed, *areas)


def _by_label(
    mask: npt.NDArray[np.bool_], kinds: npt.NDArray[np.uint8] | None
) -> npt.NDArray[np.bool_]:
    """Part a mask by type, any as the last, (6, row, column); none of a type that isn't known."""
    of_type = np.arange(1, len(CLASSES) + 1)[:, None, None]
    kinds = np.zeros(mask.shape, np.uint8) if kinds is None else kinds
    return np.concatenate((kinds == of_type, mask[None]))
