"""One frozen configuration for a whole training run, read from a TOML preset."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from worker.munet.network import NetworkConfig
from worker.munet.preprocessing import Preprocessing
from worker.munet.strictly import read_values

T = TypeVar("T")
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(ge=32, multiple_of=32)]  # the networks halve it five times
PRESETS = Path(__file__).with_name("presets")
# Settings that are gone, as runs had them that did not use them.
GONE: Mapping[str, Mapping[str, object]] = {
    "loss": {"types": "maps", "within_weight": 0.5},
    "augment": {"kernel": 0.0},
}


class ConfigError(ValueError):
    """A preset or an option has a name or a value that no run can use."""


@dataclass(frozen=True)
class Loss:
    """L = focal + lambda * masks over four branches (equations 4 and 5).

    `cross_entropy` is what the paper has not: a weighted term beside Dice without which the type
    maps of so few patients never leave zero. 0 is the paper's loss.
    """

    gamma: Amount = 2.0
    alpha: Share = 0.25
    lambda_masks: Amount = 1.0
    cross_entropy: Amount = 0.0
    positive_weight: Amount = 1.0
    any_weight: Amount = 1.0  # of the "any" map against one type's
    volume: Amount = 0.0  # weight of the volume that the "any" map is off by
    branches: tuple[Amount, ...] = (1.0, 1.0, 1.0, 1.0)  # X2 ... X5


@dataclass(frozen=True)
class Augment:
    """How far a training picture may differ from its slice. All zero is none."""

    mirror: bool = False
    rotate_deg: Amount = 0.0
    scale: Amount = 0.0
    shift: Amount = 0.0  # of the side
    shear: Amount = 0.0
    contrast: Amount = 0.0
    noise: Amount = 0.0
    dim: Share = 0.0  # most of its contrast to brain that blood loses
    mix: Share = 0.0  # most of a slice's thickness that its neighbour takes over
    paste: Share = 0.0  # share of healthy slices that get the blood of another patient
    synthetic: Share = 0.0  # share of slices that get bleeds drawn after their anatomy


@dataclass(frozen=True)
class Sampling:
    """What an epoch is made of.

    Positive slices are drawn with the inverse root of their rarest type's frequency; healthy ones
    with a weight that grows with the network's last score for them, so that hard ones come often.
    """

    slices: Count = 0  # a epoch; 0 takes every slice once
    positive_share: Share = 0.5
    hard_healthy: Amount = 1.0
    healthy: bool = True  # whether slices without blood are learned from; the paper has none


@dataclass(frozen=True)
class Smote:
    """How many slices of each type training shall have (table 4); 0 leaves a type as it is."""

    EDH: Count = 0
    IPH: Count = 0
    IVH: Count = 0
    SAH: Count = 0
    SDH: Count = 0
    neighbours: Annotated[int, Field(ge=1)] = 5


@dataclass(frozen=True)
class Optimiser:
    """Adam and its learning rate."""

    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1e-4
    weight_decay: Amount = 0.0
    schedule: Literal["plateau", "cosine"] = "plateau"
    # Epochs without a better validation loss before the rate halves.
    patience: Annotated[int, Field(ge=1)] = 4
    stop: Count = 0  # epochs without a better validation loss after which a stage ends; 0 is never
    average: Share = 0.0  # decay of the exponential moving average of the weights a step; 0 is none

    @property
    def watches(self) -> bool:
        """Whether it looks at patients who are held out."""
        return self.schedule == "plateau" or self.stop > 0


@dataclass(frozen=True)
class Stage:
    """Some epochs at one picture size."""

    size: Size = 256
    epochs: Annotated[int, Field(ge=1)] = 60
    batch: Annotated[int, Field(ge=2)] = 32  # one slice alone has no batch statistics
    heads_only: bool = False  # all but the output layers are frozen (the end of Algorithm 1)


@dataclass(frozen=True)
class Origin:
    """A source of patients, on what terms, and how many of them."""

    name: str
    licence: str
    cite: str
    scanners: tuple[str, ...]
    patients: int


@dataclass(frozen=True)
class Lineage:
    """Whom the weights that a run begins with have learned from, and those before them.

    Empty where these are patients of the run's own training part alone.
    """

    patients: tuple[int, ...] = ()
    sources: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    name: str
    seed: Count = 0
    architecture: Literal["munet", "unet"] = "munet"  # unet is the baseline, never shipped
    begin: str = ""  # sha256 of the checkpoint whose weights it starts from; empty starts afresh
    lineage: Lineage = field(default_factory=Lineage)  # of those weights
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)] = (Stage(),)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    loss: Loss = field(default_factory=Loss)
    augment: Augment = field(default_factory=Augment)
    sampling: Sampling = field(default_factory=Sampling)
    smote: Smote = field(default_factory=Smote)
    optimiser: Optimiser = field(default_factory=Optimiser)

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other."""
        if self.augment.mix and self.preprocessing.clip_limit:
            raise ConfigError("mix weighs bone by its white, which CLAHE moves; set clip_limit = 0")
        if self.augment.mix and self.preprocessing.channels == "bone":
            raise ConfigError("mix leaves bone's window alone; set mix = 0, or other channels")
        if not self.sampling.healthy and self.preprocessing.channels != "gray":
            raise ConfigError('healthy = false shows each slice alone; set channels = "gray"')
        if not self.sampling.healthy and self.augment.synthetic:
            raise ConfigError("bleeds are drawn into whole heads; set synthetic = 0")
        if len(self.loss.branches) != (1 if self.architecture == "unet" else 4):
            raise ConfigError(f"branches: MUNet has four, unet one; not {len(self.loss.branches)}")
        if self.network.in_channels != self.preprocessing.planes:
            raise ConfigError(
                f"channels {self.preprocessing.channels} are {self.preprocessing.planes}:"
                f" set in_channels = {self.preprocessing.planes} under [network]"
            )

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage_of(self, epoch: int) -> Stage:
        """Return the stage that an epoch, counted from 0, belongs to."""
        return self._at(epoch)[0]

    def span_of(self, epoch: int) -> range:
        """Return the epochs of its stage."""
        return self._at(epoch)[1]

    def _at(self, epoch: int) -> tuple[Stage, range]:
        first = 0
        for stage in self.stages:
            span = range(first, first + stage.epochs)
            if epoch in span:
                return stage, span
            first = span.stop
        raise ConfigError(f"{self.name} has no epoch {epoch}")

    def shortened(self, epochs: int) -> "RunConfig":
        """Return this run in about so many epochs, shared out as in its own stages."""
        kept = self.stages[-epochs:]
        whole = sum(stage.epochs for stage in kept)
        stages = (replace(s, epochs=max(1, round(s.epochs * epochs / whole))) for s in kept)
        return replace(self, stages=tuple(stages))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the run's folder and the checkpoint's card."""
        return asdict(self)


def load_config(preset: str) -> RunConfig:
    """Read a preset by name, or a TOML file by path.

    `base = "best"` takes that preset's values; each setting of the file stands above its base's.

    Raises
    ------
    ConfigError
        No such preset, or a value that no run can use.
    """
    path = Path(preset) if preset.endswith(".toml") else PRESETS / f"{preset}.toml"
    try:
        return build(RunConfig, {"name": path.stem, **_with_base(path)})
    except OSError as error:
        known = sorted(p.stem for p in PRESETS.glob("*.toml"))
        missing = error.filename or path
        raise ConfigError(f"{missing}: {error.strerror}; presets are {known}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _with_base(path: Path) -> dict[str, Any]:
    """Read a TOML file's values over those of the preset that it names as its base."""
    values = tomllib.loads(path.read_text("utf-8"))
    if not (base := values.pop("base", "")):
        return values
    below = _with_base(PRESETS / f"{base}.toml")
    for key, value in values.items():
        below[key] = below.get(key, {}) | value if isinstance(value, dict) else value
    return below


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """Build a dataclass from plain values; what is left out keeps its default.

    Raises
    ------
    ConfigError
        A name that is unknown or a value of another kind, each by its key.
    """
    try:
        return read_values(kind, values)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def build_stored(values: Mapping[str, Any]) -> RunConfig:
    """Build the configuration of a stored run, which older code may have written.

    Raises
    ------
    ConfigError
        As `build`; a setting that is gone is unknown only where the run used it.
    """
    kept = dict(values)
    for part, unused in GONE.items():
        found = values.get(part, {}).items()
        kept[part] = {key: value for key, value in found if (key, value) not in unused.items()}
    return build(RunConfig, kept)
