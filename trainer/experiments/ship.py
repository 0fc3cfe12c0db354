"""Make one checkpoint of a whole cross-validation.

Its networks are averaged. Calibration and thresholds come from what each answered for patients whom
it never saw, so from everybody; the same choice, made without one fold and measured on it, says
what to expect of the next patients. The average itself can't be measured so: each patient trained
most of its members. Its scores spread less than one member's, which no figure here shows.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config import ConfigError, RunConfig
from trainer.datasets.sources import Release
from trainer.evaluation.likeness import measure, summed_up, with_ranges
from trainer.evaluation.outlined import outlined
from trainer.experiments.crossval import Network, judged
from trainer.experiments.crossval_report import outcome, to_json
from trainer.experiments.export import (
    Finished,
    by_study,
    finished,
    sources_of,
    training_record,
)
from trainer.experiments.unseen import Fold, Reading, answers, chosen
from trainer.reports.document import as_json
from trainer.training.run import described
from worker.munet import checkpoint
from worker.munet.card import Card
from worker.munet.ensemble import halved, joined

UNSEEN = (
    "each patient was judged by one network of the recipe that never saw them, at thresholds chosen"
    " on the others' patients; the checkpoint averages several of these networks"
)

LONG = ("config", "perturbed", "folds")  # stand in the training record, or in crossval.json


def ship(folder: Path, release: Release, reading: Reading, members: int, target: Path) -> Card:
    """Average the first `members` folds of a finished cross-validation, and write them.

    Raises
    ------
    ConfigError
        A fold has not come to its end, none is there, folds differ, or there are too few.
    """
    folds = folds_in(folder)
    runs = [finished(fold.place) for fold in folds]
    if members > len(runs):
        raise ConfigError(f"{folder}: has {len(runs)} folds, too few to average {members}")
    unseen = {fold.number: list(answers(fold, release, reading)) for fold in folds}
    scoring, points = chosen([patient for part in unseen.values() for patient in part])
    network = Network("munet", judged(unseen, release, reading))
    everybody = tuple(sorted(study.patient for study in network.studies))
    config = replace(runs[0].config, name=runs[0].config.name.removesuffix("-fold-0"))
    card = Card(
        name=f"munet-{config.name}",
        sha256="",
        network=config.network,
        preprocessing=reading.preprocessing,
        scoring=scoring,
        operating_points=points,
        chosen="balanced",
        members=members,
        claims=outlined(network.studies)["claims"],
        training=record(runs[:members], everybody, release),
    )
    card = with_ranges(card, summed_up(dict(measure(release, everybody))))
    weights = halved(joined([run.network.state_dict() for run in runs[:members]]))
    card = checkpoint.write(target, weights, card)
    return checkpoint.write(target, weights, replace(card, metrics=metrics(network, config)))


def folds_in(folder: Path) -> list[Fold]:
    """Return the folds of a cross-validation that a folder holds.

    Raises
    ------
    ConfigError
        None is here, a patient has two folds or none, or their settings differ.
    """
    places = sorted(folder.glob("fold-*"))
    if len(places) < 2:
        raise ConfigError(
            f"{folder}: holds no cross-validation; `crossval --run {folder}` makes one"
        )
    described_there = [described(place) for place in places]
    if any(recipe(config) != recipe(described_there[0][0]) for config, _ in described_there):
        raise ConfigError(f"{folder}: its folds are of different settings; only one's are averaged")
    held = [patient for _, split in described_there for patient in split.validation]
    everybody = {*held, *(patient for _, split in described_there for patient in split.train)}
    if len(held) != len(set(held)) or set(held) != everybody:
        raise ConfigError(f"{folder}: each patient must be held out by one fold; is one missing?")
    return [
        Fold(number, split, config, place)
        for number, (place, (config, split)) in enumerate(zip(places, described_there, strict=True))
    ]


def recipe(config: RunConfig) -> RunConfig:
    """Return what all folds of a cross-validation share: all but names and what they began with."""
    return replace(config, name="", begin="")


def record(
    members: Sequence[Finished], everybody: Sequence[int], release: Release
) -> dict[str, Any]:
    """Say what the weights were trained with; nobody was kept from all of them."""
    made = training_record(members, sources_of(release, everybody))
    return made | {"patients": list(everybody), "validation_patients": [], "operating": UNSEEN}


def metrics(network: Network, config: RunConfig) -> dict[str, Any]:
    """Return the figures of the cross-validation and a line a patient."""
    figures = to_json(outcome(config, [network]))
    kept = {key: value for key, value in figures.items() if key not in LONG}
    found = {"note": UNSEEN, **kept, "studies": by_study(network.studies)}
    return {"crossval": json.loads(as_json(found))}
