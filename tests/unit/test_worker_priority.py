"""The rule: each level at its threshold and just below, and what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import SettingsError
from schema.states import Outcome
from schema.subtypes import ANY, KEYS
from worker.findings import Finding
from worker.priority import Extent, Priority, prioritise
from worker.rules import SHIPPED, load_rules

RULES = load_rules()
NOTHING = 0.0


def findings(
    volumes_ml: Mapping[str, float], scores: Mapping[str, float] | None = None
) -> list[Finding]:
    """Findings with these volumes and scores; `any` has the sum and the highest."""
    scores = scores or {}
    types = [
        Finding(key, scores.get(key, 0.0), volumes_ml.get(key, 0.0), volumes_ml.get(key, 0.0) > 0)
        for key in KEYS
    ]
    highest = max([scores.get(ANY, 0.0), *(finding.probability for finding in types)])
    total = sum(finding.volume_ml for finding in types)
    return [Finding(ANY, highest, total, total > 0), *types]


ALARM = 0.2


def judged(
    volumes_ml: Mapping[str, float] | None = None,
    scores: Mapping[str, float] | None = None,
    **extent: float,
) -> Priority:
    return prioritise(findings(volumes_ml or {}, scores), RULES, ALARM, Extent(**extent))


@pytest.mark.parametrize(
    ("volumes_ml", "level"),
    [
        ({"EDH": 30}, 1),
        ({"EDH": 29.99}, 3),
        ({"IPH": 30}, 1),
        ({"IPH": 29.99}, 2),
        ({"SDH": 25, "SAH": 25}, 1),
        ({"SDH": 25, "SAH": 24.99}, 2),
        ({"IPH": 5}, 2),
        ({"IPH": 4.99}, 3),
        ({"SDH": 10}, 2),
        ({"SDH": 9.99}, 3),
        ({"SAH": 0.01}, 3),
        ({}, 4),
    ],
)
def test_a_volume_reaches_its_level_at_the_threshold(
    volumes_ml: dict[str, float], level: int
) -> None:
    assert judged(volumes_ml).level == level


@pytest.mark.parametrize("key", ["EDH", "SAH", "IVH"])
@pytest.mark.parametrize(
    ("volume_ml", "probability", "level"),
    [(0.5, 0.5, 2), (0.49, 0.5, 3), (0.5, 0.49, 3)],
)
def test_some_types_are_high_with_volume_and_score_alone(
    key: str, volume_ml: float, probability: float, level: int
) -> None:
    assert judged({key: volume_ml}, {key: probability}).level == level


@pytest.mark.parametrize("key", [ANY, *KEYS])
@pytest.mark.parametrize(("probability", "level"), [(0.2, 3), (0.19, 4)])
def test_a_score_without_a_segment_is_reviewed_at_the_threshold(
    key: str, probability: float, level: int
) -> None:
    assert judged({}, {key: probability}).level == level


@pytest.mark.parametrize(
    ("extent", "level"),
    [
        ({"midline_shift_mm": 5.1}, 1),
        ({"midline_shift_mm": 5.0}, 4),
        ({"sdh_thickness_mm": 10.1}, 1),
        ({"sdh_thickness_mm": 10.0}, 4),
        ({"infratentorial_ml": 15.0}, 1),
        ({"infratentorial_ml": 14.9}, 4),
    ],
)
def test_what_else_was_measured_counts(extent: dict[str, float], level: int) -> None:
    assert judged(**extent).level == level


def test_what_was_not_measured_stays_unknown() -> None:
    measured = judged({"SDH": 100}).measured
    assert measured["sdh_thickness_mm"] is measured["midline_shift_mm"] is None


@pytest.mark.parametrize(
    ("volumes_ml", "scores", "outcome"),
    [
        ({"EDH": 30}, {}, Outcome.POSITIVE),
        ({"IPH": 5}, {}, Outcome.POSITIVE),
        ({"IPH": 1}, {}, Outcome.POSITIVE),
        ({}, {"IPH": 0.9}, Outcome.INDETERMINATE),
        ({}, {"IPH": 0.1}, Outcome.NEGATIVE),
    ],
)
def test_the_outcome_follows_level_and_segment(
    volumes_ml: dict[str, float], scores: dict[str, float], outcome: Outcome
) -> None:
    assert judged(volumes_ml, scores).outcome is outcome


def test_a_critical_reason_gives_rule_and_measured_value() -> None:
    assert judged({"EDH": 41.23}).reason == "EDH 41.2 mL (critical at 30 mL or more)"


def test_a_reason_names_every_rule_of_its_level() -> None:
    reason = judged({"IPH": 60}, midline_shift_mm=7.0).reason
    assert "IPH 60 mL (critical at 30 mL or more)" in reason
    assert "total 60 mL (critical at 50 mL or more)" in reason
    assert "midline shift 7 mm (critical above 5 mm)" in reason


def test_a_high_reason_gives_volume_and_score() -> None:
    assert judged({"SAH": 0.8}, {"SAH": 0.71}).reason == (
        "SAH 0.8 mL, probability 0.71 (high at 0.5 mL or more with probability 0.5 or more)"
    )


@pytest.mark.parametrize(("alarm", "level"), [(0.3, 3), (0.31, 4)])
def test_any_blood_is_reviewed_at_the_models_own_operating_point(alarm: float, level: int) -> None:
    priority = prioritise(findings({}, {ANY: 0.3}), RULES, alarm)
    assert priority.level == level
    assert f"review at {alarm:g} or more" in priority.reason


def test_a_review_reason_says_small_or_uncertain() -> None:
    assert judged({"SAH": 0.04}).reason == "small or uncertain: SAH 0.04 mL, probability 0.00"


def test_none_found_does_not_exclude_hemorrhage() -> None:
    assert "does not exclude hemorrhage" in judged({}, {"SDH": 0.12}).reason


def test_a_priority_names_the_version_of_its_rules() -> None:
    assert judged().rule_version == RULES.version


volumes = st.fixed_dictionaries({key: st.floats(0, 100) for key in KEYS})
scores = st.fixed_dictionaries({key: st.floats(0, 1) for key in KEYS})


@given(volumes, scores, st.sampled_from(KEYS), st.floats(0, 100))
def test_a_larger_bleed_is_never_less_urgent(
    volumes_ml: dict[str, float], probabilities: dict[str, float], key: str, growth_ml: float
) -> None:
    before = judged(volumes_ml, probabilities).level
    assert judged({**volumes_ml, key: volumes_ml[key] + growth_ml}, probabilities).level <= before


@given(volumes, scores, st.sampled_from(KEYS))
def test_a_higher_score_is_never_less_urgent(
    volumes_ml: dict[str, float], probabilities: dict[str, float], key: str
) -> None:
    before = judged(volumes_ml, probabilities).level
    assert judged(volumes_ml, {**probabilities, key: 1.0}).level <= before


@given(volumes, scores)
def test_a_study_with_a_segment_is_always_positive(
    volumes_ml: dict[str, float], probabilities: dict[str, float]
) -> None:
    if any(volumes_ml.values()):
        assert judged(volumes_ml, probabilities).outcome is Outcome.POSITIVE


def test_the_thresholds_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SHIPPED.read_text().replace("edh_ml = 30.0", "edh_ml = 20.0", 1))
    rules = load_rules(path)
    assert rules == replace(RULES, critical=replace(RULES.critical, edh_ml=20.0))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("edh_ml = 30.0", "edh_ml = -1", r"critical\.edh_ml = -1 must be above 0"),
        ("edh_ml = 30.0", "edh_ml = nan", r"critical\.edh_ml = nan must be above 0"),
        ("edh_ml = 30.0", "edh_ml = inf", r"critical\.edh_ml = inf must be above 0"),
        ("edh_ml = 30.0", "edh_ml = true", r"critical\.edh_ml = True is no number"),
        ("edh_ml = 30.0", 'edh_ml = "30"', r"critical\.edh_ml = '30' is no number"),
        ("probability = 0.5", "probability = 50", r"high\.probability = 50 .* at most 1"),
        ("total_ml = 50.0", "sum_ml = 50.0", "unknown sum_ml; missing total_ml"),
        ('version = "2"', "", "the file: missing version"),
        ('version = "2"', "version = 1", "version must be a text"),
        ("[review]", "[revue]", "unknown revue; missing review"),
        ("[review]", "[review", "site.toml"),
    ],
)
def test_a_bad_rule_file_is_refused_by_name(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SHIPPED.read_text().replace(old, new, 1))
    with pytest.raises(
        SettingsError, match=rf"site\.toml: .*{message}" if message != "site.toml" else message
    ):
        load_rules(path)


def test_a_missing_rule_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: No such file"):
        load_rules(tmp_path / "none.toml")
