"""The thresholds of the priority rule, read from a versioned TOML file."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from schema.errors import SettingsError

SHIPPED: Final = Path(__file__).with_name("rules.toml")

T = TypeVar("T")


@dataclass(frozen=True)
class Critical:
    """Level 1: thresholds in mL and mm."""

    edh_ml: float
    iph_ml: float
    total_ml: float
    midline_shift_mm: float
    sdh_thickness_mm: float
    infratentorial_ml: float


@dataclass(frozen=True)
class High:
    """Level 2: thresholds in mL; EDH, SAH and IVH also need the probability."""

    edh_ml: float
    sah_ml: float
    ivh_ml: float
    probability: float
    iph_ml: float
    sdh_ml: float


@dataclass(frozen=True)
class Review:
    """Level 3: the probability from which a study without a segment is looked at again."""

    probability: float


@dataclass(frozen=True)
class Rules:
    """The whole rule file."""

    version: str
    critical: Critical
    high: High
    review: Review


def load_rules(path: Path | None = None) -> Rules:
    """Read the rule file, the shipped one by default.

    Raises
    ------
    SettingsError
        The file is missing, is no TOML, or has an unknown, missing or impossible value; the
        message names the file and the value.
    """
    path = path or SHIPPED
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        return _rules(values)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; put the rule file there") from error
    except (ValueError, TypeError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise SettingsError(f"{path}: {error}; compare it with the shipped rules.toml") from error


def _rules(values: Mapping[str, Any]) -> Rules:
    _check_keys(values, {"version", "critical", "high", "review"}, "the file")
    version = values["version"]
    if not isinstance(version, str) or not version.strip():
        raise ValueError("version must be a text that is not empty")
    return Rules(
        version=version,
        critical=_table(Critical, values["critical"], "critical"),
        high=_table(High, values["high"], "high"),
        review=_table(Review, values["review"], "review"),
    )


def _table(kind: type[T], values: Any, name: str) -> T:
    if not isinstance(values, Mapping):
        raise TypeError(f"[{name}] is no table")
    _check_keys(values, {field.name for field in fields(kind)}, f"[{name}]")  # type: ignore[arg-type]
    for key, value in values.items():
        _check_threshold(f"{name}.{key}", value, 1.0 if key == "probability" else math.inf)
    return kind(**{key: float(value) for key, value in values.items()})


def _check_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown, missing = sorted(values.keys() - known), sorted(known - values.keys())
    if unknown or missing:
        parts = [f"unknown {', '.join(unknown)}"] * bool(unknown)
        parts += [f"missing {', '.join(missing)}"] * bool(missing)
        raise ValueError(f"{where}: {'; '.join(parts)}")


def _check_threshold(name: str, value: Any, highest: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} = {value!r} is no number")
    if not 0 < value <= highest or math.isinf(value):
        raise ValueError(f"{name} = {value} must be above 0 and at most {highest:g}")
