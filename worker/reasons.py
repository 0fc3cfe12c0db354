"""What a radiologist reads as the reason: total blood first, types as far as claimed, each once."""

from collections.abc import Mapping, Sequence
from typing import Final

from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from schema.shares import percent
from worker.findings import Finding
from worker.look.coverage import Coverage, UnseenGap
from worker.rules import CoverageLimits

Reached = Sequence[
    tuple[str, float]
]  # the name of a measurement, and the threshold that it reached
NONE_FOUND: Final = "no hemorrhage found; does not exclude hemorrhage"
SUSPECTED: Final = "small or uncertain: the model suspects {} but outlines none"


def describe_blood(amounts: Mapping[str, float], claims: Mapping[str, Claim], reached: Reached,
                   level: str) -> str:  # fmt: skip
    """Say how much blood there is, and which of its volumes reached a level.

    Parameters
    ----------
    amounts
        Volumes by name: `total_ml`, `edh_ml` and so on of types that may be named, `untyped_ml`.
    claims
        What may be said of each type.
    """
    limits = dict(reached)
    if len(limits) > 1:  # what is certain of no type is said where nothing else decides
        limits.pop("untyped_ml", None)
    total = f"{quantity('total_ml', amounts['total_ml'])} of blood"
    parts = []
    for name, threshold in limits.items():
        rule = f" ({level} at {quantity(name, threshold)} or more)"
        if name == "total_ml":
            total += rule
        else:
            parts.append(_share(name, amounts, claims) + rule)
    return "; ".join([total, *parts])


def _share(name: str, amounts: Mapping[str, float], claims: Mapping[str, Claim]) -> str:
    """Name the part of the blood that is meant; its volume only where it is not all of it."""
    is_all = quantity(name, amounts[name]) == quantity(name, amounts["total_ml"])
    if name == "untyped_ml":
        told = any(amounts.get(f"{key.lower()}_ml") for key in KEYS)
        said = "not certain" if told else "not told apart"
        return f"its type {said}" if is_all else f"type {said} of {_ml(amounts[name])}"
    word = _word(name.removesuffix("_ml").upper(), claims)
    return f"all of it {word}" if is_all else f"{word} {_ml(amounts[name])}"


def _word(key: str, claims: Mapping[str, Claim]) -> str:
    return f"perhaps {key}" if claims[key] is Claim.HINTED else key


def describe_small(found: Mapping[str, Finding]) -> str:
    """Say what was outlined that reaches no level, the types that may be named after the total."""
    total = found[ANY].volume_ml
    named = [found[key] for key in KEYS if found[key].present and _is_told(found[key])]
    claims = {key: found[key].claim for key in KEYS}
    words = [
        _share(
            f"{finding.subtype.lower()}_ml",
            {"total_ml": total, f"{finding.subtype.lower()}_ml": finding.volume_ml},
            claims,
        )
        for finding in named
    ]
    return "; ".join([f"small or uncertain: {_ml(total)} of blood", *words])


def describe_suspicion(keys: Sequence[str], claims: Mapping[str, Claim]) -> str:
    """Say what has a score and no outline; `any` is blood of whatever type."""
    if ANY in keys:
        return SUSPECTED.format("blood")
    return SUSPECTED.format(" and ".join(_word(key, claims) for key in keys))


def describe_part(coverage: Coverage | None, limits: CoverageLimits) -> str:
    """Say which part of the head was seen, where that is too little; else nothing."""
    if coverage is None:
        return ""
    gaps = [gap for gap in coverage.gaps if gap.unseen_mm >= limits.gap_mm]
    if coverage.share >= limits.share and not gaps:
        return ""
    seen = (
        f"{percent(coverage.share)} of the head,"
        f" from {coverage.from_mm:.0f} to {coverage.to_mm:.0f} mm"
    )
    return f"none found in the part seen ({'; '.join([seen, *map(_gap, gaps)])})"


def _gap(gap: UnseenGap) -> str:
    return f"gap of {gap.distance_mm:.0f} mm from {gap.from_mm:.0f} to {gap.to_mm:.0f} mm"


def quantity(name: str, value: float) -> str:
    """Write a measurement with its unit."""
    unit = "mL" if name.endswith("_ml") else "mm"
    return f"{value:.2g} {unit}" if value < 1 else f"{round(value, 1):g} {unit}"


def _ml(value: float) -> str:
    return quantity("total_ml", value)


def _is_told(finding: Finding) -> bool:
    return finding.claim is not Claim.NOT_TOLD_APART
