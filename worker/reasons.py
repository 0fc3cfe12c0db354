"""What a radiologist reads as the reason: total blood first, types as far as claimed, each once."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from schema.reason_words import PART_SEEN
from schema.shares import percent
from worker.findings import LEAST_ML, Finding
from worker.look.coverage import Coverage, UnseenGap
from worker.rules import CoverageLimits
from worker.wording import MOST_GAPS

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
    total = f"{_ml(amounts['total_ml'])} of blood"
    types = [name for name in limits if name != "total_ml"]
    if not types:
        known = _known(amounts, claims)
        return "; ".join([total + _rule(level, limits["total_ml"]), *known, *_doubt(amounts)])
    # A type that decides says more than that there is blood.
    parts = [_share(name, amounts, claims) + _rule(level, limits[name]) for name in types]
    return "; ".join([total, *parts])


def _rule(level: str, limit_ml: float) -> str:
    return f" ({level} at {_ml(limit_ml)} or more)"


def _known(amounts: Mapping[str, float], claims: Mapping[str, Claim]) -> list[str]:
    certain = [f"{key.lower()}_ml" for key in KEYS if claims[key] is Claim.REPORTED]
    return [_share(name, amounts, claims) for name in certain if amounts[name] >= LEAST_ML]


def _doubt(amounts: Mapping[str, float]) -> list[str]:
    """Say of how much blood the type is not certain, where there is any."""
    untyped_ml, total_ml = amounts["untyped_ml"], amounts["total_ml"]
    if not untyped_ml:
        return []
    told = any(amounts.get(f"{key.lower()}_ml") for key in KEYS)
    said = "not certain" if told else "not told apart"
    is_all = _ml(untyped_ml) == _ml(total_ml)
    return [f"its type {said}" if is_all else f"type {said} of {_ml(untyped_ml)}"]


def _share(name: str, amounts: Mapping[str, float], claims: Mapping[str, Claim]) -> str:
    """Name the part of the blood that is meant; its volume only where it is not all of it."""
    word = _word(name.removesuffix("_ml").upper(), claims)
    is_all = _ml(amounts[name]) == _ml(amounts["total_ml"])
    return f"all of it {word}" if is_all else f"{word} {_ml(amounts[name])}"


def _word(key: str, claims: Mapping[str, Claim]) -> str:
    return f"perhaps {key}" if claims[key] is Claim.HINTED else key


def describe_small(found: Mapping[str, Finding]) -> str:
    """Say what was outlined that reaches no level, the types that may be named after the total."""
    total = found[ANY].volume_ml
    named = [found[key] for key in KEYS if found[key].present and found[key].is_told]
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
    return f"none found {PART_SEEN} ({'; '.join([seen, *_unseen(coverage, gaps)])})"


def _unseen(coverage: Coverage, gaps: Sequence[UnseenGap]) -> Iterator[str]:
    if coverage.usual_unseen_mm:
        yield f"{coverage.usual_unseen_mm:.1f} mm unseen between most slices"
    yield from map(_gap, gaps[:MOST_GAPS])
    if len(gaps) > MOST_GAPS:
        yield f"{len(gaps) - MOST_GAPS} more gaps"


def _gap(gap: UnseenGap) -> str:
    return f"gap of {gap.distance_mm:.0f} mm from {gap.from_mm:.0f} to {gap.to_mm:.0f} mm"


def quantity(name: str, value: float) -> str:
    """Write a measurement with its unit."""
    unit = "mL" if name.endswith("_ml") else "mm"
    return f"{value:.2g} {unit}" if value < 1 else f"{round(value, 1):g} {unit}"


def _ml(value: float) -> str:
    return quantity("total_ml", value)
