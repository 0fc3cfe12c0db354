"""The readable half of a checkpoint: what the weights are, how to feed and how to read them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, cast

from worker.munet.network import OUTPUTS, NetworkConfig
from worker.munet.preprocessing import Preprocessing

T = TypeVar("T")

FORMAT = "ihsnet-munet/1"
CLASSES = ("EDH", "IPH", "IVH", "SAH", "SDH")
LABELS = (*CLASSES, "any")  # the order of every score and of every mask channel


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
    alone). The study's score is the mean of its `top` highest slices as they were before that.
    """

    flip: bool = False
    mask_weight: float = 0.0
    share_weight: float = 0.0
    smooth_mm: float = 0.0
    types_mm: float = 0.0
    top: int = 1
    calibrated: bool = False
    slice: Platt = field(default_factory=Platt)
    study: Platt = field(default_factory=Platt)

    def __post_init__(self) -> None:
        """Refuse a study score over no slices."""
        weights = (self.mask_weight, self.share_weight, self.smooth_mm, self.types_mm)
        if self.top < 1 or min(weights) < 0:
            raise ValueError(f"scores need one slice or more and nothing negative: {self}")


@dataclass(frozen=True)
class Card:
    """Everything a checkpoint's JSON holds.

    `training` and `metrics` are for people: data, patients, figures and whom they were measured on.
    """

    name: str
    sha256: str
    network: NetworkConfig
    preprocessing: Preprocessing
    scoring: Scoring
    operating_points: Mapping[str, OperatingPoint]
    chosen: str
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = CLASSES
    format: str = FORMAT

    def __post_init__(self) -> None:
        """Refuse a card of another format, other classes, or without its operating point."""
        if self.format != FORMAT:
            raise ValueError(f"format is {self.format!r}, this version reads {FORMAT!r}")
        if self.classes != CLASSES:
            raise ValueError(f"classes are {self.classes}, this version knows {CLASSES}")
        if self.chosen not in self.operating_points:
            raise ValueError(f"operating point {self.chosen!r} is not among its operating points")

    @property
    def operating_point(self) -> OperatingPoint:
        """The thresholds in force."""
        return self.operating_points[self.chosen]

    def to_json(self) -> dict[str, Any]:
        """Plain values in the order of the fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Card":
        """Build a card; a missing, unknown or impossible value raises ValueError."""
        values = dict(values)
        points = values.get("operating_points")
        if not isinstance(points, dict):
            raise ValueError("operating_points is missing or no table")  # noqa: TRY004 - one error
        values["operating_points"] = {k: _read(OperatingPoint, v) for k, v in points.items()}
        return _read(cls, values)


def _read(kind: type[T], values: Any) -> T:
    """Build a dataclass from exactly its own fields, nested ones included."""
    if not is_dataclass(kind) or not isinstance(values, Mapping):
        raise ValueError(f"{kind.__name__} is no table")
    names = {f.name: f.type for f in fields(kind)}
    if values.keys() != names.keys():
        unknown, missing = sorted(values.keys() - names.keys()), sorted(names - values.keys())
        raise ValueError(f"{kind.__name__}: unknown {unknown}, missing {missing}")
    return cast("T", kind(**{name: _value(names[name], v) for name, v in values.items()}))


def _value(kind: Any, value: Any) -> Any:
    """Read one field: nested dataclasses and tuples; numbers and words must be of their type."""
    if is_dataclass(kind) and isinstance(kind, type):
        return _read(kind, value)
    if isinstance(value, list):
        return tuple(value)
    expected = {float: (float, int), int: (int,), bool: (bool,), str: (str,)}.get(kind)
    if expected and (not isinstance(value, expected) or (kind is not bool and value is True)):
        raise ValueError(f"{value!r} is no {kind.__name__}")
    return value
