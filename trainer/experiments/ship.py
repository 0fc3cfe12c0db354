"""Make one checkpoint of whole cross-validations, of one recipe or of several.

Its networks are averaged. Calibration and thresholds come from what each answered for patients whom
it never saw, so from everybody; the same choice, made without one fold and measured on it, says
what to expect of the next patients. The average itself can't be measured so: each patient trained
most of its members. Its scores spread less than one member's, which no figure here shows.
"""

import json
from collections.abc import Mapping, Sequence
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
from trainer.experiments.recipes import folds_in, name_of, recipe, together
from trainer.experiments.unseen import Fold, Reading, Unseen, answers, chosen
from trainer.reports.document import as_json
from worker.munet import checkpoint
from worker.munet.card import Card, Claim, may_doubt
from worker.munet.ensemble import halved, joined, widened

UNSEEN = (
    "each patient was judged by the network that never saw them, of several recipes by the mean of"
    " their networks, at thresholds chosen on the others' patients; the checkpoint averages those"
    " of several folds"
)

LONG = ("config", "perturbed", "folds")  # stand in the training record, or in crossval.json


def ship(
    folders: Sequence[Path], release: Release, reading: Reading, members: int, target: Path
) -> Card:
    """Average the first `members` folds of finished cross-validations, and write them.

    Parameters
    ----------
    folders
        One for each recipe; with several, each fold's member comes from the next of them in turn.

    Raises
    ------
    ConfigError
        A fold has not come to its end, none is there, folds differ, or there are too few.
    LeakError
        The recipes' folds are of different patients.
    DataError
        One of them is not in the release.
    """
    folds = together(folds_in(folders[0]), folders[1:])
    if members % len(folders):
        raise ConfigError(f"{members} members of {len(folders)} recipes: each must give as many")
    if members > len(folds):
        raise ConfigError(f"{folders[0]}: has {len(folds)} folds, too few to average {members}")
    release.require([patient for fold in folds for patient in fold.split.validation])
    runs, planes = members_of(folds, members), reading.preprocessing.planes
    unseen = {fold.number: list(answers(fold, release, reading)) for fold in folds}
    reading, network, claims = as_claimed(unseen, release, reading)
    choice = chosen([patient for part in unseen.values() for patient in part], reading)
    everybody = tuple(sorted(study.patient for study in network.studies))
    config = named(runs[: len(folders)])
    card = Card(
        name=f"munet-{config.name}",
        sha256="",
        network=replace(config.network, in_channels=planes),
        preprocessing=reading.preprocessing,
        scoring=choice.scoring,
        operating_points=choice.points,
        chosen="balanced",
        members=members,
        claims=claims,
        training=record(runs, everybody, release),
        bleed_types=choice.types,
    )
    card = with_ranges(card, summed_up(dict(measure(release, everybody))))
    weights = halved(joined([widened(run.network.state_dict(), planes) for run in runs]))
    card = checkpoint.write(target, weights, card)
    return checkpoint.write(target, weights, replace(card, metrics=metrics(network, config)))


def as_claimed(
    unseen: Mapping[int, Sequence[Unseen]], release: Release, reading: Reading
) -> tuple[Reading, Network, Mapping[str, Claim]]:
    """Judge everybody; again with a type for every bleed, where the claims allow no uncertain one.

    So the claims and figures of a card are of the answers that its model gives.
    """
    network = Network("munet", judged(unseen, release, reading))
    claims = outlined(network.studies)["claims"]
    if reading.certain or may_doubt(claims.values()):
        return reading, network, claims
    return as_claimed(unseen, release, replace(reading, certain=True))


def members_of(folds: Sequence[Fold], members: int) -> list[Finished]:
    """Return the runs whose networks are averaged, one a fold, from each recipe in turn."""
    every = [[finished(place) for place in (fold.place, *fold.others)] for fold in folds]
    return [runs[index % len(runs)] for index, runs in enumerate(every[:members])]


def named(runs: Sequence[Finished]) -> RunConfig:
    """Return the first recipe's settings under the names of all."""
    names = dict.fromkeys(name_of(run.config) for run in runs)
    return replace(runs[0].config, name="-".join(names))


def record(
    members: Sequence[Finished], everybody: Sequence[int], release: Release
) -> dict[str, Any]:
    """Say what the weights were trained with; nobody was kept from all of them."""
    made = training_record(members, sources_of(release, everybody))
    recipes = {recipe(run.config): run.config for run in members}
    return made | {
        "patients": sorted({*everybody, *made["patients"]}),
        "validation_patients": [],
        "operating": UNSEEN,
        "recipes": [config.to_json() for config in recipes.values()],
    }


def metrics(network: Network, config: RunConfig) -> dict[str, Any]:
    """Return the figures of the cross-validation and a line a patient."""
    figures = to_json(outcome(config, [network]))
    kept = {key: value for key, value in figures.items() if key not in LONG}
    found = {"note": UNSEEN, **kept, "studies": by_study(network.studies)}
    return {"crossval": json.loads(as_json(found))}
