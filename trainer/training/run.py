"""The state of a training run: all that a resumed run needs to give the same numbers.

Random numbers need no storing: every epoch draws its own from the seed and the epoch's number.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainer.config import ConfigError, RunConfig, build_stored
from trainer.datasets.splits import AnySplit, LeakError, Split, recorded
from trainer.training.unet import plain_unet
from worker.munet.network import MUNet

STATE = "state.pt"
RECORD = "run.json"
CPU = torch.device("cpu")
Weights = Mapping[str, Tensor] | None


@dataclass
class Run:
    """Networks, optimiser and history between two epochs."""

    config: RunConfig
    network: nn.Module
    average: nn.Module  # the moving average, the one that is evaluated and kept
    optimiser: torch.optim.Optimizer
    hardness: Tensor  # (slice,) last "any" probability of each slice
    epoch: int = 0
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    split: AnySplit | None = None  # all patients that it gets to know
    learner: nn.Module | None = None  # the network as several processes train it; never stored

    @classmethod
    def start(
        cls, config: RunConfig, slices: int, device: torch.device = CPU, begin: Weights = None
    ) -> "Run":
        """Make a fresh run over a release of so many slices, with the weights it begins with."""
        torch.manual_seed(config.seed)
        network = make_network(config)
        if begin:
            network.load_state_dict(begin)
        network = network.to(device)
        settings = config.optimiser
        optimiser = torch.optim.AdamW(
            network.parameters(), settings.rate, weight_decay=settings.weight_decay
        )
        return cls(config, network, copy.deepcopy(network), optimiser, torch.full((slices,), 0.5))

    def save(self, folder: Path) -> None:
        """Write the state in one step: a kill leaves the last epoch's or this one's."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{STATE}.part"
        torch.save(
            {
                "config": json.dumps(self.config.to_json()),
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "hardness": self.hardness,
                "epoch": self.epoch,
                "step": self.step,
                "history": self.history,
                "split": json.dumps(self.split and self.split.record()),
            },
            part,
        )
        part.replace(folder / STATE)

    @classmethod
    def resume(
        cls,
        config: RunConfig,
        slices: int,
        folder: Path,
        device: torch.device = CPU,
        begin: Weights = None,
        split: AnySplit | None = None,
    ) -> "Run":
        """Take up a stored run, or start one where none is stored.

        Raises
        ------
        ConfigError
            The stored run had another configuration.
        LeakError
            It got to know other patients.
        """
        run = cls.start(config, slices, device, begin)
        run.split = split
        if not (folder / STATE).exists():
            return run
        stored = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        values = json.loads(stored["config"])
        was = build_stored(values)
        if "lineage" not in values:  # older code: `begin` names the checkpoint already
            was = replace(was, lineage=config.lineage)
        if was != config or len(stored["hardness"]) != slices:
            raise ConfigError(f"{folder}: holds a run with other settings; use another folder")
        if config.optimiser.watches and any("validation_loss" not in h for h in stored["history"]):
            raise ConfigError(f"{folder}: begun before the loss was watched; use another folder")
        if split and not _knows(stored, folder, split):
            raise LeakError(
                f"{folder}: holds a run that knows other patients than {config.name} may; use"
                " another folder"
            )
        run.network.load_state_dict(stored["network"])
        run.average.load_state_dict(stored["average"])
        run.optimiser.load_state_dict(stored["optimiser"])
        run.hardness, run.history = stored["hardness"], stored["history"]
        run.epoch, run.step = stored["epoch"], stored["step"]
        return run

    def follow(self, decay: float) -> None:
        """Move the average a step towards the network."""
        with torch.no_grad():
            for slow, fast in zip(_values(self.average), _values(self.network), strict=True):
                if slow.is_floating_point():
                    slow.lerp_(fast, 1 - decay)
                else:
                    slow.copy_(fast)


def make_network(config: RunConfig) -> nn.Module:
    """Make the network that a run trains, with fresh weights."""
    unet = config.architecture == "unet"
    network = plain_unet(config.network) if unet else MUNet(config.network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def baseline(config: RunConfig) -> RunConfig:
    """Return the run that trains a plain U-Net in all else as this one trains MUNet."""
    one_branch = replace(config.loss, branches=config.loss.branches[-1:])
    return replace(config, name=f"{config.name}-unet", architecture="unet", loss=one_branch)


def _values(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _knows(stored: Mapping[str, Any], folder: Path, split: AnySplit) -> bool:
    """Whether a stored run got to know the patients of a split, and nobody else.

    A run of older code has no record but the folder's, where a fold stands once it has ended.
    """
    if values := json.loads(stored.get("split", "null")):
        return recorded(values) == split
    noted = recorded(_record(folder))
    return noted == split or (isinstance(noted, Split) and noted.is_fold_of(split))


def describe(folder: Path, config: RunConfig, split: AnySplit) -> None:
    """Write down what a run's folder holds, for later commands and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"config": config.to_json(), **split.record()}
    part = folder / f"{RECORD}.part"
    part.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    part.replace(folder / RECORD)


def described(folder: Path) -> tuple[RunConfig, Split]:
    """Read a run's configuration and its patients.

    Raises
    ------
    ConfigError
        No run is here.
    LeakError
        It was split by slice.
    """
    values = _record(folder)
    split = recorded(values)
    if not isinstance(split, Split):
        raise LeakError(f"{folder}: was split by slice and is LEAKING; no model is made of it")
    return build_stored(values["config"]), split


def check_record(folder: Path, config: RunConfig, split: AnySplit) -> None:
    """Refuse a folder whose run is not the one that is planned for it.

    Raises
    ------
    ConfigError
        It has other settings; with which weights it began does not matter.
    LeakError
        It knows other patients, or slices.
    """
    values = _record(folder)
    stored, noted = build_stored(values["config"]), recorded(values)
    if replace(config, begin=stored.begin, lineage=stored.lineage) != stored:
        raise ConfigError(f"{folder}: holds a run with other settings; use another folder")
    if noted != split and not (isinstance(split, Split) and split.is_fold_of(noted)):
        raise LeakError(
            f"{folder}: holds a run that knows other patients than {config.name} may; use another"
            " folder, or as many folds of the same data as it was made with,"
            f" --without {','.join(map(str, noted.without)) or 'nobody'}"
        )


def _record(folder: Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads((folder / RECORD).read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{folder / RECORD}: {error.strerror}; is this a run?") from error
    return values


class Stored(NamedTuple):
    """What a run has come to."""

    network: nn.Module  # the average, in eval mode
    history: list[dict[str, float]]
    epoch: int  # the next one; as many as the run has once it is at its end


def averaged(config: RunConfig, folder: Path) -> Stored:
    """Read a run's averaged network.

    Raises
    ------
    ConfigError
        It has trained nothing yet, and a fresh network is no result.
    """
    if not (folder / STATE).exists():
        raise ConfigError(
            f"{folder}: has trained 0 of {config.epochs} epochs; let `fit` or `crossval` go on"
        )
    network = make_network(config).eval()
    stored = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    network.load_state_dict(stored["average"])
    return Stored(network, stored["history"], stored["epoch"])
