"""The folds of finished cross-validations, and those of several recipes as one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trainer.config import ConfigError, Lineage, RunConfig
from trainer.datasets.splits import LeakError, Split
from trainer.experiments.export import finished
from trainer.experiments.unseen import Fold
from trainer.training.run import described
from worker.munet.network import NetworkConfig


def folds_in(folder: Path) -> list[Fold]:
    """Return the folds of a cross-validation that a folder holds.

    Raises
    ------
    ConfigError
        None is here, one is not at its end, a patient has two folds, or their settings differ.
    """
    places = sorted(folder.glob("fold-*"))
    if not places:
        raise ConfigError(
            f"{folder}: holds no cross-validation; `crossval --run {folder}` makes one"
        )
    described_there = [described(place) for place in places]
    if any(recipe(config) != recipe(described_there[0][0]) for config, _ in described_there):
        raise ConfigError(f"{folder}: its folds are of different settings; only one's are averaged")
    check_whole(folder, [split for _, split in described_there])
    return [
        Fold(number, split, config, place)
        for number, (place, (config, split)) in enumerate(zip(places, described_there, strict=True))
    ]


def check_whole(folder: Path, splits: Sequence[Split]) -> None:
    """Refuse folds that do not hold each patient out once.

    Raises
    ------
    ConfigError
        Somebody is held out twice, or by nobody: a fold notes whom it holds out at its end alone.
    """
    held = [patient for split in splits for patient in split.validation]
    everybody = {*held, *(patient for split in splits for patient in split.train)}
    if len(held) != len(set(held)):
        raise ConfigError(f"{folder}: each patient must be held out by one fold, some are by two")
    if set(held) != everybody:
        done = sum(bool(split.validation) for split in splits)
        about = f" of about {round(done * len(everybody) / len(held))}" if held else ""
        raise ConfigError(
            f"{folder}: folds at their ends: {done}{about}, which hold {len(held)} of"
            f" {len(everybody)} patients out; `crossval --run {folder}` goes on with the same"
            " --count, --preset and --data"
        )


def recipe(config: RunConfig) -> RunConfig:
    """Return what all folds of a cross-validation share: all but names and what they began with."""
    return replace(config, name="", begin="", lineage=Lineage())


def name_of(config: RunConfig) -> str:
    """Return a recipe's name, by the settings of one of its folds."""
    return config.name.partition("-fold-")[0]


def together(folds: Sequence[Fold], folders: Sequence[Path]) -> list[Fold]:
    """Let each fold answer with the networks of other finished recipes on the same patients.

    Raises
    ------
    LeakError
        Another recipe's fold learned from other patients, so perhaps from those asked about.
    ConfigError
        It has not come to its end, or its networks have another shape.
    """
    return [
        replace(fold, others=tuple(_same(fold, folder) for folder in folders)) for fold in folds
    ]


def shape(config: RunConfig) -> tuple[str, NetworkConfig]:
    """Return what networks must share to answer as one: all but what they are fed, and dropout."""
    return config.architecture, replace(config.network, in_channels=1, dropout=0.0)


def _same(fold: Fold, folder: Path) -> Path:
    place = folder / fold.place.name
    other = finished(place)
    if other.split != fold.split:
        raise LeakError(f"{place}: learned from other patients than {fold.place}")
    if shape(other.config) != shape(fold.config):
        raise ConfigError(f"{place}: its network has another shape than that of {fold.place}")
    return place
