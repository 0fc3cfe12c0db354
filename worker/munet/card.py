"""The readable half of a checkpoint: what the weights are, how to feed and how to read them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from worker.munet.bleed_types import BleedTypes
from worker.munet.measured import Measured
from worker.munet.network import OUTPUTS, NetworkConfig
from worker.munet.preprocessing import Preprocessing
from worker.munet.strictly import read_json, read_values

FORMAT = "ihsnet-munet/2"
READABLE = ("ihsnet-munet/1", FORMAT)  # what 2 has more of has a default in 1
CLASSES = ("EDH", "IPH", "IVH", "SAH", "SDH")
Claim = Literal["REPORTED", "HINTED", "NOT_TOLD_APART"]
LABELS = (*CLASSES, "any")  # the order of every score and of every mask channel


def may_doubt(claims: Iterable[Claim]) -> bool:
    """Whether blood may be of an uncertain type.

    Some type must not be told apart, as which it counts, and none be reported, since that one would
    be called absent.
    """
    every = set(claims)
    return "NOT_TOLD_APART" in every and "REPORTED" not in every


@dataclass(frozen=True)
class OperatingPoint:
    """Thresholds on (calibrated) probabilities, chosen on validation patients.

    `slice_gate` and `study_gate` decide where a mask may appear at all: a slice or a study that
    scores lower has none. `types` and `any` decide what a reader calls present in a study.
    """

    mask: float = 0.5
    seed: float = 0.5  # a component stays only if one of its pixels reaches this
    minimum_px: int = 0  # smaller components, in pixels of the network's grid, go
    slice_gate: float = 0.0
    study_gate: float = 0.0
    slice_any: float = 0.5
    study_any: float = 0.5
    types: tuple[float, ...] = (0.5,) * len(CLASSES)

    def __post_init__(self) -> None:
        """Refuse thresholds outside 0 ... 1."""
        limits = (self.mask, self.seed, self.slice_gate, self.study_gate, *self.types)
        if any(not 0 <= limit <= 1 for limit in (*limits, self.slice_any, self.study_any)):
            raise ValueError(f"thresholds are probabilities: {self}")
        if len(self.types) != len(CLASSES) or self.minimum_px < 0:
            raise ValueError(f"one threshold for each of {CLASSES} and no negative size: {self}")


@dataclass(frozen=True)
class Platt:
    """Logistic calibration of six logits, p = sigmoid(slope * logit + intercept)."""

    slope: tuple[float, ...] = (1.0,) * OUTPUTS
    intercept: tuple[float, ...] = (0.0,) * OUTPUTS

    def __post_init__(self) -> None:
        """Refuse a calibration that would turn the order of scores round."""
        if len(self.slope) != OUTPUTS or len(self.intercept) != OUTPUTS or min(self.slope) <= 0:
            raise ValueError(f"calibration needs six rising lines: {self}")


@dataclass(frozen=True)
class Scoring:
    """How pictures become scores.

    `flip` averages each slice with its mirror image. `mask_weight` adds the logit of the strongest
    mask pixels to the classifier's own, `share_weight` to a type's the log of its share of the mask
    (0 leaves the classifier alone). `smooth_mm` averages the "any" scores of slices along the
    normal with a Gaussian of that standard deviation, `types_mm` those of types (0 leaves them
    alone). The study's score is the mean of its `top` highest slices, averaged over `study_mm`
    instead.
    With `whole_bleeds` a bleed that hangs together in three dimensions has one type.
    """

    flip: bool = False
    mask_weight: float = 0.0
    share_weight: float = 0.0
    smooth_mm: float = 0.0
    types_mm: float = 0.0
    top: int = 1
    study_mm: float = 0.0
    whole_bleeds: bool = False
    calibrated: bool = False
    slice: Platt = field(default_factory=Platt)
    study: Platt = field(default_factory=Platt)

    def __post_init__(self) -> None:
        """Refuse a study score over no slices."""
        lengths = (self.smooth_mm, self.types_mm, self.study_mm)
        weights = (self.mask_weight, self.share_weight, *lengths)
        if self.top < 1 or min(weights) < 0:
            raise ValueError(f"scores need one slice or more and nothing negative: {self}")


@dataclass(frozen=True)
class Card:
    """Everything a checkpoint's JSON holds.

    `claims` says of each type how much of it was shown to be learned; one that is not named is not
    told apart. `training` and `metrics` are for people: data, patients, figures and whom they were
    measured on. `training` holds `measured` too, which a worker reads: a field of its own would be
    an unknown key to 0.1.0, which may run beside this version on the same card. `bleed_types` says
    how types of whole bleeds are told, which `claims` then hold for, so 0.1.0 must refuse it; by
    the votes of their pixels where it is missing.
    """

    name: str
    sha256: str
    network: NetworkConfig
    preprocessing: Preprocessing
    scoring: Scoring
    operating_points: Mapping[str, OperatingPoint]
    chosen: str
    members: int = 1  # networks whose logits are averaged
    claims: Mapping[str, Claim] = field(default_factory=dict)
    bleed_types: BleedTypes | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = CLASSES
    format: str = FORMAT

    def __post_init__(self) -> None:
        """Refuse a card of another format, other classes, or without its operating point."""
        if self.format not in READABLE:
            raise ValueError(f"format is {self.format!r}, this version reads {READABLE}")
        if self.classes != CLASSES:
            raise ValueError(f"classes are {self.classes}, this version knows {CLASSES}")
        if self.network.in_channels != self.preprocessing.planes:
            raise ValueError(
                f"a slice has {self.preprocessing.planes} channels as it is fed,"
                f" the network takes {self.network.in_channels}"
            )
        if self.members < 1 or not set(self.claims) <= set(CLASSES):
            raise ValueError(f"members and claims are of networks and of {CLASSES}: {self.claims}")
        if self.chosen not in self.operating_points:
            raise ValueError(f"operating point {self.chosen!r} is not among its operating points")
        if self.measured is not None and self.measured.scans < 1:
            raise ValueError("training.measured: ranges of no scan")
        claims = [self.claim(name) for name in CLASSES]
        if self.bleed_types is not None and self.bleed_types.least and not may_doubt(claims):
            raise ValueError("bleed_types: may say uncertain, where a type is reported or all are")

    @property
    def measured(self) -> Measured | None:
        """What the training patients measured; None in a card from before they were measured."""
        values = self.training.get("measured")
        try:
            return None if values is None else read_values(Measured, values)
        except ValueError as error:
            raise ValueError(f"training.measured: {error}") from error

    @property
    def operating_point(self) -> OperatingPoint:
        """The thresholds in force."""
        return self.operating_points[self.chosen]

    def claim(self, name: str) -> Claim:
        """Return what may be said of a type."""
        return self.claims.get(name, "NOT_TOLD_APART")

    def to_json(self) -> dict[str, Any]:
        """Plain values in the order of the fields.

        What a release before this one does not know is left out where it does nothing, so that a
        model that was written for both runs on either side of an upgrade.
        """
        values = asdict(self)
        if not self.preprocessing.noise_hu:
            del values["preprocessing"]["noise_hu"]
        if self.bleed_types is None:
            del values["bleed_types"]
        return values

    @classmethod
    def from_json(cls, text: str | bytes) -> "Card":
        """Read a card; a missing, unknown or impossible value raises ValueError with its key."""
        return read_json(cls, text)
