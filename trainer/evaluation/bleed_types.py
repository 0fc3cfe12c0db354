"""Learn how types of whole bleeds are told: from the shape of true outlines, judged on found ones.

A multinomial logistic with few numbers: 27 patients show how types look, and no more. What was
tried and what it gives: docs/experiments.md, "Types for whole bleeds".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from trainer.datasets.people import people, rows_of_people
from trainer.evaluation.metrics import OutlinedTypes
from trainer.evaluation.seen import Seen
from worker.munet.bleed_types import BleedTypes, voted
from worker.munet.bleeds import KINDS, SHAPE, Bleeds, Head, measure
from worker.munet.card import OperatingPoint, Scoring
from worker.munet.inference import outlined

LEAST = 0.5  # below it another type is as likely as not
PULLS = (0.3, 1.0, 3.0)  # towards votes of pixels alone
BALANCES = (0.0, 0.25, 0.5)  # power of a type's slices by which it weighs less
LEAST_PEOPLE = 4  # who show a type alone; fewer teach nothing
GROUPS = 5  # of people, each judged by what the others taught


@dataclass(frozen=True)
class Outlines:
    """One patient: bleeds by their true outlines and as they were found."""

    patient: int
    types: npt.NDArray[np.bool_]  # (slice, 5)
    true: Bleeds
    found: Bleeds
    known: npt.NDArray[np.float64]  # (bleed, 5) in how many slices a true bleed is known as a type

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """How much each true bleed teaches of each type, (bleed, 5).

        A patient's slices of a type weigh as their root.
        """
        return np.asarray(self.known / np.maximum(np.sqrt(self.known.sum(axis=0)), 1e-9))

    def calls(self, types: BleedTypes) -> OutlinedTypes:
        """Call slices by the largest area that is found in each."""
        kinds = types.told(self.found)
        px = [self.found.area_px[kinds == kind].sum(axis=0) for kind in range(1, KINDS + 1)]
        return OutlinedTypes.of(np.stack((*px, self.found.area_px.sum(axis=0)), 1), self.types)


def learned(seen: Sequence[Seen], scoring: Scoring, point: OperatingPoint) -> BleedTypes | None:
    """Learn from patients whom no network saw; None where too few show a type alone, or all one.

    How strongly it is pulled is chosen by patients judged by what the others taught: accuracy
    and its mean over types, on found outlines, a miss and no answer as errors.
    """
    found = [outlines(study, scoring, point) for study in seen if study.types.any()]
    patients = [patient for patient in found if patient.shares.any()]
    shown = np.array([patient.shares.any(axis=0) for patient in patients]).sum(axis=0)
    teachers = people({patient.patient for patient in patients})
    if len(teachers) < LEAST_PEOPLE or (shown > 0).sum() < 2:
        return None
    pull, balance = max(product(PULLS, BALANCES), key=lambda strength: _judged(patients, *strength))
    return fit(patients, pull, balance)


def outlines(study: Seen, scoring: Scoring, point: OperatingPoint) -> Outlines:
    """Measure one patient's bleeds."""
    head = Head(study.pictures, study.maps.slice_position_mm, study.maps.types)
    kept, true = outlined(study.maps, scoring, point), measure(study.masks, head)
    return Outlines(
        study.patient, study.types, true, measure(kept, head), known(true.where, study.kinds)
    )


def known(where: npt.NDArray[np.int32], kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Count in how many slices each bleed is known as a type, (bleed, 5).

    A slice in which it has several counts for each by its share of the pixels; where the type of
    no pixel is known, for none.

    Parameters
    ----------
    where
        Number of the bleed of each pixel, 0 for none, (slab, row, column).
    kinds
        Type of each pixel, 0 where there is no blood or it isn't known.
    """
    count = int(where.max(initial=0)) + 1
    cells = where.astype(np.intp) * (KINDS + 1) + kinds
    px = np.array([np.bincount(slab.ravel(), minlength=count * (KINDS + 1)) for slab in cells])
    px = px.reshape(len(kinds), count, KINDS + 1)[:, 1:, 1:]
    return np.asarray((px / np.maximum(px.sum(axis=2, keepdims=True), 1)).sum(axis=0))


def _judged(patients: Sequence[Outlines], pull: float, balance: float) -> float:
    calls = []
    everybody = rows_of_people([patient.patient for patient in patients])
    for group in range(min(GROUPS, len(everybody))):
        judged = set(chain.from_iterable(everybody[group::GROUPS]))
        others = [patient for row, patient in enumerate(patients) if row not in judged]
        types = fit(others, pull, balance)
        calls += [patients[row].calls(types) for row in sorted(judged)]
    every = OutlinedTypes(*(np.concatenate(part) for part in zip(*map(_pair, calls), strict=True)))
    return every.accuracy + every.balanced_accuracy


def _pair(calls: OutlinedTypes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    return calls.truth, calls.called


def fit(patients: Iterable[Outlines], pull: float, balance: float) -> BleedTypes:
    """Fit by the highest likelihood of true bleeds, pulled towards what their pixels vote for."""
    taught = list(patients)
    weights = np.concatenate([patient.shares for patient in taught])
    often = weights.sum(axis=0)
    weights = weights * np.where(often > 0, np.maximum(often, 1e-9) ** -balance, 0)
    votes = voted(np.concatenate([patient.true.votes for patient in taught]))
    shape = np.concatenate([patient.true.shape for patient in taught])
    each = weights.sum(axis=1)
    centre = np.average(shape, axis=0, weights=each)
    spread = np.sqrt(np.average((shape - centre) ** 2, axis=0, weights=each)).clip(1e-3)
    numbers = _likeliest(votes, (shape - centre) / spread, weights, pull)
    return BleedTypes(
        float(numbers[0]),
        tuple(numbers[1 : 1 + KINDS].tolist()),
        tuple(map(tuple, numbers[1 + KINDS :].reshape(KINDS, -1).tolist())),
        tuple(centre.tolist()),
        tuple(spread.tolist()),
        LEAST,
    )


def _likeliest(
    votes: npt.NDArray[np.float64],
    shape: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    pull: float,
) -> npt.NDArray[np.float64]:
    """Return the weight of votes, then intercepts, then weights of shape by type."""
    start = np.zeros(1 + KINDS * (1 + len(SHAPE)))
    start[0] = 1.0
    every = weights.sum(axis=1, keepdims=True)

    def loss(x: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        logits = x[0] * votes + x[1 : 1 + KINDS] + shape @ x[1 + KINDS :].reshape(KINDS, -1).T
        logits -= logits.max(axis=1, keepdims=True)
        log_likely = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        off = every * np.exp(log_likely) - weights
        gradient = np.concatenate(([(votes * off).sum()], off.sum(axis=0), (off.T @ shape).ravel()))
        apart = x - start
        return float(
            pull / 2 * apart @ apart - (weights * log_likely).sum()
        ), gradient + pull * apart

    bounds = [(0, None)] + [(None, None)] * (len(start) - 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x)
