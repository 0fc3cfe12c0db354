"""How urgent a study is, by a rule that a person can read and check."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from schema.states import Level, Outcome
from worker.findings import Finding
from worker.look.coverage import Coverage
from worker.reasons import (
    NONE_FOUND,
    Reached,
    describe_blood,
    describe_part,
    describe_small,
    describe_suspicion,
    quantity,
)
from worker.rules import Rules, load_rules

__all__ = ["Extent", "Priority", "load_rules", "prioritise"]


@dataclass(frozen=True)
class Extent:
    """Measurements that a mask of the five types does not give: None until somebody measures."""

    midline_shift_mm: float | None = None
    sdh_thickness_mm: float | None = None
    infratentorial_ml: float | None = None


@dataclass(frozen=True)
class Priority:
    """The level, and everything that a person needs to check it.

    Attributes
    ----------
    level
        A value of `Level`.
    reason
        The rule and the measured value that decided.
    outcome
        What the study ends with.
    measured
        Every value that the rule looked at, with its unit in its name; None if not measured.
        `untyped_ml` is the part of the blood whose type is not certain: hinted at, or not told
        apart.
    rule_version
        The version of the rule file.
    """

    level: int
    reason: str
    outcome: Outcome
    measured: Mapping[str, float | None]
    rule_version: str


UNMEASURED = Extent()


def prioritise(
    findings: Sequence[Finding],
    rules: Rules,
    alarm: float,
    extent: Extent = UNMEASURED,
    coverage: Coverage | None = None,
) -> Priority:
    """Apply the rule, the most urgent level first.

    Parameters
    ----------
    findings
        One for `any` and for each of the five types. Blood counts as blood, whatever its type; and
        as blood of its type too where the model tells that one apart. So to know a type, or to
        hint at it, may make a study more urgent and never less.
    rules
        Thresholds.
    alarm
        The score of `any` from which the model calls a study: its own threshold for review, since
        a score means what the patients say that it was calibrated and its threshold chosen on.
    extent
        What else was measured.
    coverage
        How much of the head was seen; None if nobody looked.

    Returns
    -------
    Priority
        Levels 1 and 2 are positive; level 3 is positive with a segment, else indeterminate. A head
        of which too little was seen comes to level 3 as well, below all that was measured: level 4
        means that none was found in a head, and of this one somebody has to look at the rest.
    """
    found = {finding.subtype: finding for finding in findings}
    measured = _measured(found, extent, coverage)
    reasons = {
        Level.CRITICAL: "; ".join(_critical(measured, found, rules)),
        Level.HIGH: "; ".join(_high(measured, found, rules)),
        Level.REVIEW: _review(found, rules, alarm) or describe_part(coverage, rules.coverage),
        Level.NONE_FOUND: NONE_FOUND,
    }
    level = next(level for level, reason in reasons.items() if reason)
    outcome = _outcome(level, present=found[ANY].present)
    return Priority(int(level), reasons[level], outcome, measured, rules.version)


def _measured(
    found: Mapping[str, Finding], extent: Extent, coverage: Coverage | None
) -> dict[str, float | None]:
    values: dict[str, float | None] = {"total_ml": found[ANY].volume_ml}
    values["any_probability"] = found[ANY].probability
    for key in filter(lambda key: found[key].is_told, KEYS):
        values[f"{key.lower()}_ml"] = found[key].volume_ml
        values[f"{key.lower()}_probability"] = found[key].probability
    values["untyped_ml"] = sum(found[key].volume_ml for key in KEYS if not found[key].is_certain)
    values["coverage_share"] = None if coverage is None else coverage.share
    return values | asdict(extent)


def _critical(
    measured: Mapping[str, float | None], found: Mapping[str, Finding], rules: Rules
) -> Iterator[str]:
    limits = _with_total(rules.critical.model_dump())
    extent = {name: limits.pop(name) for name in asdict(UNMEASURED)}
    reached = _reached(measured, found, limits)
    if reached:
        yield describe_blood(_amounts(measured), _claims(found), reached, "critical")
    for name, threshold in extent.items():
        value = measured[name]
        # The sources say "more than 5 mm" and "more than 10 mm", but "15 mL or more".
        above = name.endswith("_mm")
        if value is not None and (value > threshold or (value == threshold and not above)):
            rule = ("above {}" if above else "at {} or more").format(quantity(name, threshold))
            what = name.rsplit("_", 1)[0].replace("sdh", "SDH").replace("_", " ")
            yield f"{what} {quantity(name, value)} (critical {rule})"


def _high(
    measured: Mapping[str, float | None], found: Mapping[str, Finding], rules: Rules
) -> Iterator[str]:
    limits = _with_total(rules.high.model_dump())
    probability = limits.pop("probability")
    for key in ("EDH", "IVH", "SAH"):
        if found[key].probability < probability:
            del limits[f"{key.lower()}_ml"]
    reached = _reached(measured, found, limits)
    if reached:
        yield describe_blood(_amounts(measured), _claims(found), reached, "high")


def _with_total(limits: dict[str, float]) -> dict[str, float]:
    """Hold the limit of blood of no type against all blood: to know a type excuses none of it."""
    untyped_ml = limits.pop("untyped_ml")
    return limits | {"total_ml": min(untyped_ml, limits.get("total_ml", untyped_ml))}


def _reached(
    measured: Mapping[str, float | None],
    found: Mapping[str, Finding],
    limits: Mapping[str, float],
) -> Reached:
    """List the volumes that reach their limit, those of types only as far as they are told."""
    untold = {f"{key.lower()}_ml" for key in KEYS if not found[key].is_told}
    return [
        (name, limit)
        for name, limit in limits.items()
        if name not in untold and (measured[name] or 0.0) >= limit
    ]


def _amounts(measured: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in measured.items() if value is not None}


def _claims(found: Mapping[str, Finding]) -> dict[str, Claim]:
    return {key: found[key].claim for key in KEYS}


def _review(found: Mapping[str, Finding], rules: Rules, alarm: float) -> str:
    if found[ANY].present:
        return describe_small(found)
    least = {key: rules.review.probability for key in KEYS if found[key].is_told} | {ANY: alarm}
    suspected = [key for key, score in least.items() if found[key].probability >= score]
    return describe_suspicion(suspected, _claims(found)) if suspected else ""


def _outcome(level: Level, *, present: bool) -> Outcome:
    if level in (Level.CRITICAL, Level.HIGH):
        return Outcome.POSITIVE
    if level is Level.REVIEW:
        return Outcome.POSITIVE if present else Outcome.INDETERMINATE
    return Outcome.NEGATIVE
