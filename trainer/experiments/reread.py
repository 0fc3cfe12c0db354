"""Read a checkpoint's weights by today's rules: preprocessing, scores, calibration, thresholds.

Weights stay. Each validation patient counts several times: as scanned, and changed as another
scanner would have changed it, so that a threshold lies in the gap that all copies leave.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from trainer.datasets.cache import small_mask
from trainer.datasets.sources import Release, read_mask, read_series
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.operating import POINTS, SCORING, Seen, calibrated, choose
from trainer.evaluation.perturb import CHANGES, Change, Head
from trainer.evaluation.studies import predict_studies
from trainer.experiments.export import CHOSEN_HERE, CLAIMS, by_study
from trainer.reports.document import as_json
from worker.munet import checkpoint
from worker.munet.card import FORMAT, Card
from worker.munet.device import resolve
from worker.munet.ensemble import halved
from worker.munet.inference import Predictor, calibrate, run, study_logits
from worker.munet.preprocessing import Preprocessing

COPIES = (
    "1.25 mm slices",
    "rotated by 45 degrees",
    "sharp kernel",
    "smooth kernel",
    "5 HU more",
    "5 HU less",
)


def reread(
    path: Path, preprocessing: Preprocessing, release: Release, target: Path, note: str = ""
) -> Card:
    """Choose everything but the weights of a checkpoint anew, and write it.

    Parameters
    ----------
    path
        The checkpoint; its validation patients must be in the release.
    preprocessing
        How it is fed from now on.
    """
    network, card = checkpoint.read(path)
    card = replace(card, preprocessing=preprocessing, format=FORMAT)
    patients = tuple(card.training["validation_patients"])
    seen = [answer(network, card, release, patient) for patient in patients]
    copies = [
        answer(network, card, release, patient, CHANGES[name])
        for name in COPIES
        for patient in patients
    ]
    return written(network, chosen(card, seen, copies), release, target, note)


def answer(
    network: nn.Module,
    card: Card,
    release: Release,
    patient: int,
    change: Change = lambda head: head,
) -> Seen:
    """Ask a network about one patient, changed as told; truth stays that of the patient."""
    slices, preprocessing = release.of(patient), card.preprocessing
    series, back = preprocessing(*change(Head(*read_series(slices))))
    maps = run(network, series, SCORING, resolve("auto"))
    masks = [small_mask(read_mask(ct_slice), back.box, preprocessing.size) for ct_slice in slices]
    return Seen(maps, np.array([ct_slice.types for ct_slice in slices]), np.stack(masks))


def chosen(card: Card, seen: Sequence[Seen], copies: Sequence[Seen]) -> Card:
    """Return the card with calibration and study thresholds of all, the others of `seen` alone.

    A copy's masks need not lie on the patient's, so they choose nothing.
    """
    every = [*seen, *copies]
    scoring = calibrated(every, SCORING)
    truth = np.array([study.types.any() for study in every])
    scores = np.stack([study_logits(study.maps, scoring) for study in every])
    score = calibrate(scores, scoring.study)[:, -1]
    # Where all studies are told apart, each rule stops at another place of the same gap; a point
    # that is named for sensitivity must never call less than another.
    rising = sorted(limit(truth, score) for limit in POINTS.values())
    points = {}
    for (name, limit), study_any in zip(POINTS.items(), rising, strict=True):
        point = choose(seen, scoring, limit)
        points[name] = replace(point, study_any=study_any, study_gate=study_any / 2)
    return replace(card, scoring=scoring, operating_points=points, claims=CLAIMS)


def written(network: nn.Module, card: Card, release: Release, target: Path, note: str) -> Card:
    """Write a checkpoint with the figures of its validation patients."""
    weights = halved(network.state_dict())
    training: Mapping[str, object] = {**card.training, "read": note}
    card = checkpoint.write(target, weights, replace(card, training=training, metrics={}))
    studies = list(
        predict_studies(Predictor(target), release, card.training["validation_patients"])
    )
    figures = {
        "note": CHOSEN_HERE,
        **evaluate(studies, card.name, card.sha256),
        "studies": by_study(studies),
    }
    metrics = {"validation": json.loads(as_json(figures))}
    return checkpoint.write(target, weights, replace(card, metrics=metrics))
