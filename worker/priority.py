"""How urgent a study is, by a rule that a person can read and check."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum

from schema.states import Outcome
from schema.subtypes import ANY, KEYS
from worker.findings import Finding
from worker.rules import Rules, load_rules

__all__ = ["Extent", "Level", "Priority", "load_rules", "prioritise"]


class Level(IntEnum):
    """The place in the reading list; 0 keeps its normal place."""

    NOT_ANALYSED = 0
    CRITICAL = 1
    HIGH = 2
    REVIEW = 3
    NONE_FOUND = 4


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
    findings: Sequence[Finding], rules: Rules, alarm: float, extent: Extent = UNMEASURED
) -> Priority:
    """Apply the rule, the most urgent level first.

    Parameters
    ----------
    findings
        One for `any` and for each of the five types.
    rules
        Thresholds.
    alarm
        The score of `any` from which the model calls a study: its own threshold for review, since
        a score means what the patients say that it was calibrated and its threshold chosen on.
    extent
        What else was measured.

    Returns
    -------
    Priority
        Levels 1 and 2 are positive; level 3 is positive with a segment, else indeterminate.
    """
    found = {finding.subtype: finding for finding in findings}
    measured = _measured(found, extent)
    reasons = {
        Level.CRITICAL: "; ".join(_critical(measured, rules)),
        Level.HIGH: "; ".join(_high(measured, rules)),
        Level.REVIEW: "; ".join(_review(found, rules, alarm)),
        Level.NONE_FOUND: _none_found(found, rules, alarm),
    }
    level = next(level for level, reason in reasons.items() if reason)
    outcome = _outcome(level, present=found[ANY].present)
    return Priority(int(level), reasons[level], outcome, measured, rules.version)


def _measured(found: Mapping[str, Finding], extent: Extent) -> dict[str, float | None]:
    values: dict[str, float | None] = {"total_ml": found[ANY].volume_ml}
    values["any_probability"] = found[ANY].probability
    for key in KEYS:
        values[f"{key.lower()}_ml"] = found[key].volume_ml
        values[f"{key.lower()}_probability"] = found[key].probability
    return values | asdict(extent)


def _critical(measured: Mapping[str, float | None], rules: Rules) -> Iterator[str]:
    for name, threshold in asdict(rules.critical).items():
        value = measured[name]
        if value is None:
            continue
        # The sources say "more than 5 mm" and "more than 10 mm", but "30 mL or more".
        above = name.endswith("_mm")
        if value > threshold or (value == threshold and not above):
            words = "above {}" if above else "at {} or more"
            yield f"{_shown(name, value)} (critical {words.format(_quantity(name, threshold))})"


def _high(measured: Mapping[str, float | None], rules: Rules) -> Iterator[str]:
    for name, threshold in asdict(rules.high).items():
        value = measured.get(name)
        if name == "probability" or value is None or value < threshold:
            continue
        probability = measured[name.replace("_ml", "_probability")] or 0.0
        rule = f"high at {_quantity(name, threshold)} or more"
        if name in ("iph_ml", "sdh_ml"):
            yield f"{_shown(name, value)} ({rule})"
        elif probability >= rules.high.probability:
            yield (
                f"{_shown(name, value)}, probability {probability:.2f}"
                f" ({rule} with probability {rules.high.probability:g} or more)"
            )


def _review(found: Mapping[str, Finding], rules: Rules, alarm: float) -> Iterator[str]:
    for key in (*KEYS, ANY):
        finding, threshold = found[key], _review_at(key, rules, alarm)
        if finding.present and key != ANY:
            yield (
                f"small or uncertain: {_shown(f'{key}_ml', finding.volume_ml)},"
                f" probability {finding.probability:.2f}"
            )
        elif finding.probability >= threshold:
            yield (
                f"small or uncertain: {key} probability {finding.probability:.2f}"
                f" (review at {threshold:.2g} or more)"
            )


def _review_at(key: str, rules: Rules, alarm: float) -> float:
    return alarm if key == ANY else rules.review.probability


def _none_found(found: Mapping[str, Finding], rules: Rules, alarm: float) -> str:
    likeliest = max(found.values(), key=lambda finding: finding.probability)
    threshold = _review_at(likeliest.subtype, rules, alarm)
    return (
        f"no hemorrhage found: highest probability {likeliest.probability:.3f}"
        f" ({likeliest.subtype}, review at {threshold:.2g} or more);"
        " does not exclude hemorrhage"
    )


def _outcome(level: Level, *, present: bool) -> Outcome:
    if level in (Level.CRITICAL, Level.HIGH):
        return Outcome.POSITIVE
    if level is Level.REVIEW:
        return Outcome.POSITIVE if present else Outcome.INDETERMINATE
    return Outcome.NEGATIVE


def _shown(name: str, value: float) -> str:
    """`edh_ml`, 41.2 to `EDH 41.2 mL`."""
    what = name.rsplit("_", 1)[0].replace("_", " ")
    what = " ".join(word.upper() if word.upper() in KEYS else word for word in what.split())
    return f"{what} {_quantity(name, value)}"


def _quantity(name: str, value: float) -> str:
    unit = "mL" if name.endswith("_ml") else "mm"
    return f"{value:.2g} {unit}" if value < 1 else f"{round(value, 1):g} {unit}"
