"""Turn a finished run into a checkpoint that the worker can use, with its figures in its card."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from trainer.config import ConfigError, RunConfig
from trainer.datasets.cache import Prepared
from trainer.datasets.ctich import Release
from trainer.datasets.splits import Split
from trainer.evaluation.evaluate import evaluate
from trainer.evaluation.judge import Study, judge
from trainer.evaluation.operating import POINTS, SCORING, Seen, calibrated, choose, look
from trainer.reports.report import as_json
from trainer.training.run import averaged, described
from worker.munet import checkpoint
from worker.munet.card import Card
from worker.munet.inference import Predictor

CHOSEN_HERE = (
    "no weight was trained on these patients; but calibration and thresholds were chosen on them,"
    " and recipes were compared on them, so the figures flatter the model"
)
SOURCE = (
    "CT-ICH 1.0.0, Hssayeni et al., doi:10.13026/w8q8-ky94, CC BY 4.0; HU rebuilt from the"
    " published brain and bone window pictures"
)


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
            f"{folder}: has trained {stored.epoch} of {config.epochs} epochs; let `fit` go on"
        )
    return Finished(config, split, stored.network, stored.history)


def export(
    run: Finished, prepared: Prepared, release: Release, target: Path, note: str = ""
) -> Card:
    """Choose calibration and thresholds on the validation patients, judge there, and write.

    Parameters
    ----------
    target
        The checkpoint's .safetensors.
    note
        What else people should know about the run; it stands in the card's `training`.
    """
    card = card_of(run, look(run.network, prepared, run.split.validation, SCORING))
    card = replace(card, training={**card.training, "note": note})
    written = checkpoint.write(target, run.network.state_dict(), card)
    studies = list(judge(Predictor(target), release, run.split.validation))
    figures = {
        "note": CHOSEN_HERE,
        **evaluate(studies, written.name, written.sha256),
        "studies": by_study(studies),
    }
    return checkpoint.write(
        target,
        run.network.state_dict(),
        replace(written, metrics={"validation": json.loads(as_json(figures))}),
    )


def card_of(run: Finished, seen: Sequence[Seen]) -> Card:
    """Describe a network, calibrated and given its thresholds on the patients in `seen`."""
    scoring = calibrated(seen, SCORING)
    return Card(
        name=f"munet-{run.config.name}",
        sha256="",
        network=run.config.network,
        preprocessing=run.config.preprocessing,
        scoring=scoring,
        operating_points={name: choose(seen, scoring, limit) for name, limit in POINTS.items()},
        chosen="balanced",
        training=training_record(run),
    )


def training_record(run: Finished) -> dict[str, Any]:
    """Say what the weights were trained with and on whom."""
    return {
        "data": SOURCE,
        "patients": list(run.split.train),
        "validation_patients": list(run.split.validation),
        "config": run.config.to_json(),
        "epochs": len(run.history),
        "loss": [round(epoch["loss"], 4) for epoch in run.history],
    }


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
