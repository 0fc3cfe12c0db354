"""Turn a finished run into a checkpoint that the worker can use, with its figures in its card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_args

from torch import nn

from trainer.config import ConfigError, Origin, RunConfig
from trainer.datasets.people import people
from trainer.datasets.sources import Release
from trainer.datasets.splits import Split
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.likeness import measure, summed_up, with_ranges
from trainer.evaluation.operating import LEAST, SCORING, calibrated, points
from trainer.evaluation.outlined import outlined
from trainer.evaluation.seen import Seen, see
from trainer.evaluation.studies import Study, predict_studies
from trainer.reports.document import as_json
from trainer.training.run import averaged, described
from worker.munet import checkpoint
from worker.munet.card import Card, Claim
from worker.munet.ensemble import halved, joined, make
from worker.munet.inference import Predictor

CHOSEN_HERE = (
    "no weight was trained on these patients; but calibration and thresholds were chosen on them,"
    " and recipes were compared on them, so the figures flatter the model"
)
# Of one run's few patients nothing is claimed that cross-validation does not show
# (docs/model-card.md): what the shipped model may say is the most, and less where they show less.
MOST: Mapping[str, Claim] = {
    "EDH": "HINTED",
    "IPH": "HINTED",
    "IVH": "NOT_TOLD_APART",
    "SAH": "NOT_TOLD_APART",
    "SDH": "NOT_TOLD_APART",
}


@dataclass(frozen=True)
class Finished:
    """A run's folder, read back."""

    config: RunConfig
    split: Split
    network: nn.Module
    history: list[dict[str, float]]


def finished(folder: Path) -> Finished:
    """Read a run that has trained all its epochs.

    Raises
    ------
    ConfigError
        No run is here, or it has not come to its end.
    """
    config, split = described(folder)
    stored = averaged(config, folder)
    if stored.epoch < config.epochs:
        raise ConfigError(
            f"{folder}: has trained {stored.epoch} of {config.epochs} epochs; let `fit` or"
            " `crossval` go on"
        )
    return Finished(config, split, stored.network, stored.history)


def export(runs: Sequence[Finished], release: Release, target: Path, note: str = "") -> Card:
    """Choose calibration and thresholds on the validation patients, evaluate there, and write.

    Parameters
    ----------
    runs
        Several are averaged; they must have learned from the same patients.
    target
        The checkpoint's .safetensors.
    note
        What else people should know about the run; it stands in the card's `training`.

    Raises
    ------
    ConfigError
        The runs differ in patients, network or preprocessing, or held out too few.
    DataError
        A patient of theirs is not in the release.
    """
    first = runs[0]
    if any(alike(run) != alike(first) for run in runs):
        raise ConfigError("only runs of one split, network and preprocessing can be averaged")
    check_patients(first.split, release)
    weights = halved(joined([run.network.state_dict() for run in runs]))
    network = make(first.config.network, len(runs)).eval()
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    preprocessing, patients = first.config.preprocessing, first.split.validation
    seen = [see(network, preprocessing, SCORING, release, patient) for patient in patients]
    card = card_of(runs, seen, sources_of(release, first.split.train))
    card = replace(card, training={**card.training, "note": note})
    card = with_ranges(card, summed_up(dict(measure(release, first.split.train))))
    written = checkpoint.write(target, weights, card)
    studies = list(predict_studies(Predictor(target), release, first.split.validation))
    figures = {
        "note": CHOSEN_HERE,
        **evaluate(studies, written.name, written.sha256),
        "studies": by_study(studies),
    }
    metrics = {"validation": json.loads(as_json(figures))}
    claims = allowed(outlined(studies)["claims"])
    return checkpoint.write(target, weights, replace(written, metrics=metrics, claims=claims))


def check_patients(split: Split, release: Release) -> None:
    """Refuse, before anything long, what no threshold can be chosen on.

    Raises
    ------
    ConfigError
        Too few validation patients of a kind; `calibrate` asks a site for as many.
    DataError
        A patient is not in the release.
    """
    release.require({*split.train, *split.validation})
    held = [ct_slice for ct_slice in release.slices if ct_slice.patient in split.validation]
    everybody = people({ct_slice.patient for ct_slice in held})
    bleeding = people({ct_slice.patient for ct_slice in held if ct_slice.positive})
    if min(len(bleeding), len(everybody - bleeding)) < LEAST:
        raise ConfigError(
            f"{len(bleeding)} patients with blood and {len(everybody - bleeding)} without were held"
            f" out of the run: a threshold needs {LEAST} of each. Train with more in `fit"
            " --held-out`, or take `crossval` and `ship`, which need nobody held out"
        )


def allowed(shown: Mapping[str, Claim]) -> Mapping[str, Claim]:
    """Claim of each type what these patients show of the run, and what cross-validation does."""
    ever_less = get_args(Claim)
    return {name: max(most, shown[name], key=ever_less.index) for name, most in MOST.items()}


def alike(run: Finished) -> tuple[Any, ...]:
    """Return what runs must share to be averaged."""
    return run.split, run.config.network, run.config.preprocessing


def card_of(
    runs: Sequence[Finished], seen: Sequence[Seen], sources: Sequence[Mapping[str, Any]]
) -> Card:
    """Describe a network, calibrated and given its thresholds on the patients in `seen`."""
    scoring = calibrated(seen, SCORING)
    config = runs[0].config
    return Card(
        name=f"munet-{config.name}",
        sha256="",
        network=config.network,
        preprocessing=config.preprocessing,
        scoring=scoring,
        operating_points=points(seen, scoring),
        chosen="balanced",
        members=len(runs),
        training=training_record(runs, sources),
    )


def sources_of(release: Release, patients: Sequence[int]) -> list[dict[str, Any]]:
    """Say where some patients come from, on what terms, and how many of each source they are."""
    trained = [s for s in release.slices if s.patient in set(patients)]
    counts = {
        source.name: len(people({s.patient for s in trained if s.source.name == source.name}))
        for source in release.sources
    }
    return [
        {**asdict(source), "patients": counts[source.name]}
        for source in release.sources
        if counts[source.name]
    ]


def training_record(
    runs: Sequence[Finished], sources: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Say what the weights were trained with and on whom, and those that they began with."""
    first = runs[0]
    lineages = [run.config.lineage for run in runs]
    sources = with_origins(sources, [origin for line in lineages for origin in line.sources])
    patients = {*first.split.train, *(patient for line in lineages for patient in line.patients)}
    return {
        "data": "; ".join(
            f"{source['name']}, {source['cite']}, {source['licence']}" for source in sources
        ),
        "sources": list(sources),
        "patients": sorted(patients),
        "validation_patients": list(first.split.validation),
        "config": first.config.to_json(),
        "seeds": [run.config.seed for run in runs],
        "epochs": len(first.history),
        "loss": [[round(epoch["loss"], 4) for epoch in run.history] for run in runs],
    }


def with_origins(
    sources: Sequence[Mapping[str, Any]], origins: Sequence[Origin]
) -> list[dict[str, Any]]:
    """Add the sources behind a run's first weights.

    Of one in both the larger count stands: the patients are at least so many.
    """
    found = {source["name"]: dict(source) for source in sources}
    for origin in origins:
        known = found.setdefault(origin.name, asdict(origin))
        known["patients"] = max(known["patients"], origin.patients)
        known["scanners"] = sorted({*known["scanners"], *origin.scanners})
    return [found[name] for name in sorted(found)]


def by_study(studies: Sequence[Study]) -> list[dict[str, float]]:
    """One line a patient: what is there and what was found."""
    return [
        {
            "patient": study.patient,
            "positive_slices": int(study.positive.sum()),
            "truth_ml": round(float(study.volume_ml[0]), 2),
            "found_ml": round(float(study.volume_ml[1]), 2),
            "any": round(float(study.probabilities[-1]), 4),
        }
        for study in studies
    ]
