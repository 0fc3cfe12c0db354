"""Begin a run with the weights of a checkpoint."""

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from trainer.config import ConfigError, RunConfig
from trainer.datasets.people import people
from trainer.datasets.splits import LeakError, Split
from worker.munet import checkpoint

Weights = dict[str, Tensor] | None


def beginning(config: RunConfig, split: Split, path: Path | None) -> tuple[RunConfig, Weights]:
    """Name in a run's configuration the checkpoint that it begins with, and read its weights.

    Raises
    ------
    LeakError
        The checkpoint was trained on patients whom this run holds out.
    ConfigError
        Its network has another shape.
    """
    if path is None:
        return config, None
    network, card = checkpoint.read(path)
    leaked = sorted(people(card.training.get("patients", ())) & people(split.validation))
    if leaked:
        raise LeakError(f"{path}: was trained on patients {leaked}, who are held out here")
    if card.network != config.network or card.members != 1:
        raise ConfigError(f"{path}: its network has another shape than {config.name}'s")
    return replace(config, begin=card.sha256), network.state_dict()
