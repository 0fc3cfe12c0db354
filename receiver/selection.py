"""Which series to analyse: a score, or the reason why not; a decision of values alone."""

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from receiver.contexts import ANALYSED
from receiver.header import Header

RULES: Final = Path(__file__).with_name("selection.toml")
Vector = tuple[float, ...]


@dataclass(frozen=True)
class Judgement:
    """The verdict on one series: a score to be compared, or None with the reason against it."""

    score: float | None
    reason: str


@dataclass(frozen=True)
class SelectionRules:
    """The limits and weights of `selection.toml`."""

    version: str
    reject: dict[str, Any]
    score: dict[str, Any]


def load_rules(path: Path = RULES) -> SelectionRules:
    """Read the rule file."""
    return SelectionRules(**tomllib.loads(path.read_text(encoding="utf-8")))


def judge(headers: Sequence[Header], rules: SelectionRules) -> Judgement:
    """Judge one series by the headers of all its objects."""
    if not headers:
        return Judgement(None, "no readable object")
    for check in CHECKS:
        reason = check(headers, rules.reject)
        if reason:
            return Judgement(None, reason)
    return Judgement(_score(headers, rules.score), "eligible")


def _not_ct(headers: Sequence[Header], _limits: dict[str, Any]) -> str | None:
    other = next((one for one in headers if one.identity.sop_class_uid not in ANALYSED), None)
    if other is not None:
        return f"not a CT image (SOP class {other.identity.sop_class_uid})"
    modality = headers[0].modality
    return None if modality == "CT" else f"modality is {modality or 'missing'}, not CT"


def _not_a_slice(headers: Sequence[Header], limits: dict[str, Any]) -> str | None:
    values = {value.upper() for one in headers for value in one.image_type}
    for unwanted in limits["image_type_values"]:
        if unwanted in values:
            return f"image type {unwanted}"
    if headers[0].image_type[:1] == ("DERIVED",):
        for unwanted in limits["derived_values"]:
            if unwanted in values:
                return f"derived image, {unwanted}"
    if headers[0].image_type[1:2] == ("SECONDARY",) and "AXIAL" not in values:
        return "secondary image, not axial"
    if any(one.burned_in.upper() == "YES" for one in headers):
        return "burned-in annotation"
    return None


def _contrast(headers: Sequence[Header], limits: dict[str, Any]) -> str | None:
    agent = next((one.contrast_agent for one in headers if one.contrast_agent), "")
    if agent and agent.upper() not in ("NONE", "NO"):
        return "contrast agent given"
    names = f"{headers[0].series_description} {headers[0].protocol_name}"
    if re.search(limits["without_contrast_words"], names, re.IGNORECASE):
        return None
    found = re.search(limits["contrast_words"], names, re.IGNORECASE)
    return f"contrast study by its name ({found[0]})" if found else None


def _sharp_kernel(headers: Sequence[Header], limits: dict[str, Any]) -> str | None:
    kernel = headers[0].kernel
    sharp = re.search(limits["sharp_kernels"], kernel, re.IGNORECASE)
    return f"sharp kernel {kernel}" if sharp else None


def _geometry(headers: Sequence[Header], limits: dict[str, Any]) -> str | None:
    positions = [one for header in headers for one in header.positions_mm]
    orientations = [one for header in headers for one in header.orientations]
    if any(len(one) != 3 for one in positions) or any(len(one) != 6 for one in orientations):
        return "a slice has no finite position or orientation"
    normal = _normal(orientations[0])
    if normal is None:
        return "impossible orientation"
    tilt = math.degrees(math.acos(min(1.0, abs(normal[2]))))
    if tilt > limits["max_tilt_degrees"]:
        return f"not axial (slice normal {tilt:.0f} degrees off the patient's long axis)"
    return _stack(sorted({round(_dot(one, normal), 2) for one in positions}), limits)


def _stack(places_mm: Sequence[float], limits: dict[str, Any]) -> str | None:
    if len(places_mm) < limits["min_slices"]:
        return f"{len(places_mm)} slice positions, fewer than {limits['min_slices']}"
    extent_mm = places_mm[-1] - places_mm[0]
    if extent_mm < limits["min_extent_mm"]:
        return f"covers {extent_mm:.0f} mm, less than {limits['min_extent_mm']:.0f} mm"
    if extent_mm > limits["max_extent_mm"]:
        return f"covers {extent_mm:.0f} mm, more than {limits['max_extent_mm']:.0f} mm"
    return None


def _spacing(headers: Sequence[Header], limits: dict[str, Any]) -> str | None:
    for header in headers:
        low, high = limits["min_spacing_mm"], limits["max_spacing_mm"]
        if len(header.spacing_mm) != 2 or not all(low <= one <= high for one in header.spacing_mm):
            return f"pixel spacing outside {low} to {high} mm"
    return None


CHECKS: Final = (_not_ct, _not_a_slice, _contrast, _sharp_kernel, _geometry, _spacing)


def _score(headers: Sequence[Header], weights: dict[str, Any]) -> float:
    first = headers[0]
    names = f"{first.body_part} {first.series_description} {first.study_description}"
    low, high = weights["preferred_thickness_mm"]
    thickness_mm = _slice_interval(headers)
    score = weights["base"] + weights["per_slice"] * len(headers)
    score += weights["soft_kernel"] * _matches(weights["soft_kernels"], first.kernel)
    score += weights["head"] * _matches(weights["head_words"], names)
    score += weights["original"] * (first.image_type[:1] == ("ORIGINAL",))
    score += weights["axial"] * (first.image_type[2:3] == ("AXIAL",))
    score += weights["preferred_thickness"] * (low <= thickness_mm <= high)
    return float(round(score, 3))


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def _slice_interval(headers: Sequence[Header]) -> float:
    normal = _normal(headers[0].orientations[0]) or (0.0, 0.0, 1.0)
    places = sorted(_dot(one, normal) for header in headers for one in header.positions_mm)
    steps = sorted(after - before for before, after in pairwise(places))
    return round(steps[len(steps) // 2], 2)


def _normal(orientation: Vector) -> Vector | None:
    """Cross the row and column cosines (PS3.3 C.7.6.2.1.1); None if they are not a frame."""
    row, column = orientation[:3], orientation[3:]
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    return normal if abs(math.hypot(*normal) - 1) < 0.01 else None


def _dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
