"""Begin a run with the weights of a checkpoint, or of another run on the same patients."""

import hashlib
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from trainer.config import ConfigError, Lineage, RunConfig, build
from trainer.datasets.people import people
from trainer.datasets.splits import LeakError, Split
from trainer.experiments.export import finished
from worker.munet import checkpoint
from worker.munet.card import Card

Weights = dict[str, Tensor] | None


def beginning(config: RunConfig, split: Split, path: Path | None) -> tuple[RunConfig, Weights]:
    """Name in a run's configuration the checkpoint that it begins with, and read its weights.

    Raises
    ------
    LeakError
        The checkpoint was trained on patients whom this run holds out, or does not say on whom.
    ConfigError
        Its network has another shape.
    """
    if path is None:
        return config, None
    network, card = checkpoint.read(path)
    trained = card.training.get("config", {})
    if trained.get("begin") and "lineage" not in trained:
        raise LeakError(
            f"{path}: began with other weights, and its card is too old to say whom those"
            " learned from; begin with those, or afresh"
        )
    leaked = sorted(people(card.training.get("patients", ())) & people(split.validation))
    if leaked:
        raise LeakError(f"{path}: was trained on patients {leaked}, who are held out here")
    if card.network != config.network or card.members != 1:
        raise ConfigError(f"{path}: its network has another shape than {config.name}'s")
    lineage = lineage_of(card, split)
    return replace(config, begin=card.sha256, lineage=lineage), network.state_dict()


def lineage_of(card: Card, split: Split) -> Lineage:
    """Name those behind a checkpoint, where any of them is not among a run's own patients."""
    patients = {*card.training.get("patients", ())} - {*split.train}
    if not patients:
        return Lineage()
    sources = card.training.get("sources", ())
    return build(Lineage, {"patients": sorted(patients), "sources": sources})


def going_on(config: RunConfig, split: Split, before: Path) -> tuple[RunConfig, Weights]:
    """Name in a run's configuration the run whose averaged network it begins with, and read that.

    Raises
    ------
    LeakError
        That run learned from other patients, so perhaps from some whom this one holds out.
    ConfigError
        It has not come to its end, or its network has another shape.
    """
    run = finished(before)
    if run.split != split:
        raise LeakError(f"{before}: learned from other patients than {config.name} may")
    if run.config.network != config.network:
        raise ConfigError(f"{before}: its network has another shape than {config.name}'s")
    weights = run.network.state_dict()
    values = b"".join(value.numpy().tobytes() for value in weights.values())
    begin = hashlib.sha256(values).hexdigest()
    return replace(config, begin=begin, lineage=run.config.lineage), weights
