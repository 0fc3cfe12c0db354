"""The rule: each level at its threshold and just below, and what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schema.errors import SettingsError
from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from schema.states import Outcome
from worker.findings import LEAST_ML, Finding
from worker.look.coverage import Coverage, UnseenGap
from worker.priority import Extent, Priority, prioritise
from worker.rules import SHIPPED, load_rules

RULES = load_rules()
NOTHING = 0.0


def findings(
    volumes_ml: Mapping[str, float],
    scores: Mapping[str, float] | None = None,
    claim: Claim = Claim.REPORTED,
) -> list[Finding]:
    """Findings with these volumes and scores; `any` has the sum and the highest."""
    scores = scores or {}
    types = [_finding(key, scores.get(key, 0.0), volumes_ml.get(key, 0.0), claim) for key in KEYS]
    highest = max([scores.get(ANY, 0.0), *(finding.probability for finding in types)])
    total = sum(finding.volume_ml for finding in types)
    return [_finding(ANY, highest, total, Claim.REPORTED), *types]


def _finding(key: str, score: float, volume_ml: float, claim: Claim) -> Finding:
    return Finding(key, score, volume_ml, volume_ml >= LEAST_ML, claim)


ALARM = 0.2


def prioritised(
    volumes_ml: Mapping[str, float] | None = None,
    scores: Mapping[str, float] | None = None,
    **extent: float,
) -> Priority:
    return prioritise(findings(volumes_ml or {}, scores), RULES, ALARM, Extent(**extent))


def claimed(
    claim: Claim, volumes_ml: Mapping[str, float], scores: Mapping[str, float] | None = None
) -> Priority:
    return prioritise(findings(volumes_ml, scores, claim), RULES, ALARM)


def seen(share: float, *gaps: UnseenGap, volumes_ml: Mapping[str, float] | None = None) -> Priority:
    coverage = Coverage(-20.0, 45.0, share, gaps)
    return prioritise(findings(volumes_ml or {}), RULES, ALARM, coverage=coverage)


@pytest.mark.parametrize(
    ("volumes_ml", "level"),
    [
        ({"EDH": 30}, 1),
        ({"EDH": 29.99}, 2),
        ({"EDH": 4.99}, 3),
        ({"IPH": 30}, 1),
        ({"IPH": 29.99}, 2),
        ({"SDH": 15, "SAH": 15}, 1),
        ({"SDH": 15, "SAH": 14.99}, 2),
        ({"IPH": 5}, 2),
        ({"IPH": 4.99}, 3),
        ({"SDH": 5}, 2),
        ({"SDH": 4.99}, 3),
        ({"SAH": 0.05}, 3),
        ({"SAH": 0.04}, 4),
        ({}, 4),
    ],
)
def test_a_volume_reaches_its_level_at_the_threshold(
    volumes_ml: dict[str, float], level: int
) -> None:
    assert prioritised(volumes_ml).level == level


@pytest.mark.parametrize("key", ["EDH", "SAH", "IVH"])
@pytest.mark.parametrize(
    ("volume_ml", "probability", "level"),
    [(0.5, 0.5, 2), (0.49, 0.5, 3), (0.5, 0.49, 3)],
)
def test_some_types_are_high_with_volume_and_score_alone(
    key: str, volume_ml: float, probability: float, level: int
) -> None:
    assert prioritised({key: volume_ml}, {key: probability}).level == level


@pytest.mark.parametrize("key", [ANY, *KEYS])
@pytest.mark.parametrize(("probability", "level"), [(0.2, 3), (0.19, 4)])
def test_a_score_without_a_segment_is_reviewed_at_the_threshold(
    key: str, probability: float, level: int
) -> None:
    assert prioritised({}, {key: probability}).level == level


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
    assert prioritised(**extent).level == level


def test_what_was_not_measured_stays_unknown() -> None:
    measured = prioritised({"SDH": 100}).measured
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
    assert prioritised(volumes_ml, scores).outcome is outcome


@pytest.mark.parametrize(
    ("volumes_ml", "reason"),
    [
        ({"EDH": 41.23}, "41.2 mL of blood; all of it EDH (critical at 30 mL or more)"),
        (
            {"IPH": 60},
            "60 mL of blood; all of it IPH (critical at 30 mL or more)",
        ),
        ({"IPH": 31, "SDH": 4}, "35 mL of blood; IPH 31 mL (critical at 30 mL or more)"),
        (
            {"SDH": 25, "SAH": 20},
            "45 mL of blood (critical at 30 mL or more); SAH 20 mL; SDH 25 mL",
        ),
        ({"SDH": 9.9}, "9.9 mL of blood (high at 5 mL or more); all of it SDH"),
        ({"IPH": 6, "SDH": 3}, "9 mL of blood; IPH 6 mL (high at 5 mL or more)"),
        ({"SAH": 0.3, "SDH": 1.2}, "small or uncertain: 1.5 mL of blood; SAH 0.3 mL; SDH 1.2 mL"),
        ({"SAH": 0.06}, "small or uncertain: 0.06 mL of blood; all of it SAH"),
    ],
)
def test_a_reason_gives_total_blood_first_and_each_thing_once(
    volumes_ml: dict[str, float], reason: str
) -> None:
    assert prioritised(volumes_ml).reason == reason


def test_a_reason_names_what_else_was_measured() -> None:
    reason = prioritised({"IPH": 60}, midline_shift_mm=7.0).reason
    assert reason.endswith("midline shift 7 mm (critical above 5 mm)")


def test_a_reason_has_no_score() -> None:
    assert prioritised({"SAH": 0.8}, {"SAH": 0.71}).reason == (
        "0.8 mL of blood; all of it SAH (high at 0.5 mL or more)"
    )


@pytest.mark.parametrize(
    ("volumes_ml", "level", "reason"),
    [
        ({"EDH": 30}, 1, "30 mL of blood (critical at 30 mL or more); its type not told apart"),
        ({"SDH": 29}, 2, "29 mL of blood (high at 5 mL or more); its type not told apart"),
        ({"SAH": 2, "EDH": 4}, 2, "6 mL of blood (high at 5 mL or more); its type not told apart"),
        ({"SAH": 4.9}, 3, "small or uncertain: 4.9 mL of blood"),
    ],
)
def test_types_that_are_not_told_apart_count_as_blood_and_are_never_named(
    volumes_ml: dict[str, float], level: int, reason: str
) -> None:
    priority = claimed(Claim.NOT_TOLD_APART, volumes_ml, dict.fromkeys(KEYS, 0.9))
    assert (priority.level, priority.reason) == (level, reason)


@pytest.mark.parametrize(
    ("hinted", "untold", "level", "reason"),
    [
        (
            {"IPH": 16},
            {"SAH": 16},
            1,
            "32 mL of blood (critical at 30 mL or more); its type not certain",
        ),
        ({"IPH": 3}, {"SAH": 3}, 2, "6 mL of blood (high at 5 mL or more); its type not certain"),
        ({"EDH": 29}, {}, 2, "29 mL of blood (high at 5 mL or more); its type not certain"),
        ({"IPH": 6}, {}, 2, "6 mL of blood; all of it perhaps IPH (high at 5 mL or more)"),
        ({"EDH": 2}, {"SAH": 2.9}, 3, "small or uncertain: 4.9 mL of blood; perhaps EDH 2 mL"),
        (
            {"IPH": 20},
            {"SAH": 31},
            1,
            "51 mL of blood (critical at 30 mL or more); its type not certain",
        ),
    ],
)
def test_blood_whose_type_is_not_certain_adds_up(
    hinted: dict[str, float], untold: dict[str, float], level: int, reason: str
) -> None:
    claims = [
        replace(f, claim=Claim.NOT_TOLD_APART if f.subtype == "SAH" else Claim.HINTED)
        if f.subtype != ANY
        else f
        for f in findings(hinted | untold)
    ]
    priority = prioritise(claims, RULES, ALARM)
    assert (priority.level, priority.reason) == (level, reason)


def test_a_reason_says_of_how_much_blood_the_type_is_not_certain() -> None:
    claims = [
        replace(f, claim=Claim.HINTED) if f.subtype == "EDH" else f
        for f in findings({"EDH": 4, "SDH": 3})
    ]
    assert prioritise(claims, RULES, ALARM).reason == (
        "7 mL of blood (high at 5 mL or more); SDH 3 mL; type not certain of 4 mL"
    )


volumes = st.fixed_dictionaries({key: st.floats(0, 100) for key in KEYS})
scores = st.fixed_dictionaries({key: st.floats(0, 1) for key in KEYS})
TOLD = (Claim.NOT_TOLD_APART, Claim.HINTED, Claim.REPORTED)  # ever more of a type
claims_of = st.fixed_dictionaries({key: st.sampled_from(TOLD) for key in KEYS})


@given(volumes, scores, claims_of, st.sampled_from(KEYS), st.sampled_from(TOLD))
@example({"SAH": 45}, {"SAH": 0.45}, {}, "SAH", Claim.REPORTED)
@example({"EDH": 29}, {"EDH": 0.49}, {"EDH": Claim.HINTED}, "EDH", Claim.REPORTED)
@example({"SDH": 9.9}, {"SDH": 0.9}, {"SDH": Claim.HINTED}, "SDH", Claim.REPORTED)
def test_to_know_more_of_a_type_never_makes_a_study_less_urgent(
    volumes_ml: Mapping[str, float],
    probabilities: Mapping[str, float],
    claims: Mapping[str, Claim],
    key: str,
    more: Claim,
) -> None:
    def level(claims: Mapping[str, Claim]) -> int:
        found = [
            replace(f, claim=claims.get(f.subtype, f.claim))
            for f in findings(volumes_ml, probabilities, Claim.NOT_TOLD_APART)
        ]
        return prioritise(found, RULES, ALARM).level

    known = max(more, claims.get(key, Claim.NOT_TOLD_APART), key=TOLD.index)
    assert level({**claims, key: known}) <= level(claims)


def test_what_is_not_told_apart_is_measured_as_blood_of_no_type() -> None:
    measured = claimed(Claim.NOT_TOLD_APART, {"IVH": 12}).measured
    assert measured["untyped_ml"] == 12
    assert not {"ivh_ml", "ivh_probability"} & measured.keys()


def test_a_type_that_is_hinted_at_is_worded_as_a_hint() -> None:
    assert claimed(Claim.HINTED, {"EDH": 41}).reason == (
        "41 mL of blood; all of it perhaps EDH (critical at 30 mL or more)"
    )


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        (Claim.REPORTED, Outcome.INDETERMINATE),
        (Claim.HINTED, Outcome.INDETERMINATE),
        (Claim.NOT_TOLD_APART, Outcome.NEGATIVE),
    ],
)
def test_the_score_of_a_type_counts_as_far_as_the_type_is_told(
    claim: Claim, outcome: Outcome
) -> None:
    found = findings({}, {"SAH": 0.5}, claim)
    assert prioritise(found, RULES, alarm=0.6).outcome is outcome


def test_a_head_that_was_seen_is_negative_without_a_finding() -> None:
    assert (seen(0.85).level, seen(0.85).outcome) == (4, Outcome.NEGATIVE)


def test_a_head_of_which_too_little_was_seen_is_never_negative() -> None:
    priority = seen(0.84)
    assert (priority.level, priority.outcome) == (3, Outcome.INDETERMINATE)
    assert priority.reason == ("none found in the part seen (84 % of the head, from -20 to 45 mm)")


def test_a_gap_that_a_bleed_fits_into_is_never_negative() -> None:
    priority = seen(0.9, UnseenGap(0.0, 30.0, 25.0))
    assert priority.outcome is Outcome.INDETERMINATE
    assert "gap of 30 mm from 0 to 30 mm" in priority.reason


def test_three_of_many_gaps_are_named() -> None:
    gaps = (UnseenGap(15.0 * n, 15.0 * n + 15, 10.0) for n in range(5))
    reason = seen(0.3, *gaps).reason
    assert reason.count("gap of 15 mm") == 3
    assert "; 2 more gaps)" in reason


def test_a_gap_that_hides_a_speck_at_most_says_nothing() -> None:
    assert seen(0.95, UnseenGap(0.0, 10.0, 5.0)).outcome is Outcome.NEGATIVE


def test_what_was_found_in_a_part_of_a_head_stays_what_it_is() -> None:
    assert seen(0.3, volumes_ml={"EDH": 31}).level == 1


def test_a_study_stores_how_much_of_the_head_was_seen() -> None:
    assert seen(0.84).measured["coverage_share"] == 0.84


@pytest.mark.parametrize(("alarm", "level"), [(0.3, 3), (0.31, 4)])
def test_any_blood_is_reviewed_at_the_models_own_operating_point(alarm: float, level: int) -> None:
    assert prioritise(findings({}, {ANY: 0.3}), RULES, alarm).level == level


@pytest.mark.parametrize(("key", "word"), [(ANY, "blood"), ("SAH", "SAH")])
def test_a_suspicion_without_an_outline_says_so(key: str, word: str) -> None:
    found = [
        replace(finding, probability=0.9 * (finding.subtype == key)) for finding in findings({})
    ]
    assert prioritise(found, RULES, ALARM).reason == (
        f"small or uncertain: the model suspects {word} but outlines none"
    )


def test_none_found_does_not_exclude_hemorrhage() -> None:
    assert "does not exclude hemorrhage" in prioritised({}, {"SDH": 0.12}).reason


def test_a_priority_names_the_version_of_its_rules() -> None:
    assert prioritised().rule_version == RULES.version


@given(volumes, scores, st.sampled_from(KEYS), st.floats(0, 100))
def test_a_larger_bleed_is_never_less_urgent(
    volumes_ml: dict[str, float], probabilities: dict[str, float], key: str, growth_ml: float
) -> None:
    before = prioritised(volumes_ml, probabilities).level
    assert (
        prioritised({**volumes_ml, key: volumes_ml[key] + growth_ml}, probabilities).level <= before
    )


@given(volumes, scores, st.sampled_from(KEYS))
def test_a_higher_score_is_never_less_urgent(
    volumes_ml: dict[str, float], probabilities: dict[str, float], key: str
) -> None:
    before = prioritised(volumes_ml, probabilities).level
    assert prioritised(volumes_ml, {**probabilities, key: 1.0}).level <= before


@given(volumes, scores)
def test_a_study_with_a_segment_is_always_positive(
    volumes_ml: dict[str, float], probabilities: dict[str, float]
) -> None:
    if sum(volumes_ml.values()) >= LEAST_ML:
        assert prioritised(volumes_ml, probabilities).outcome is Outcome.POSITIVE


def test_the_thresholds_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SHIPPED.read_text().replace("edh_ml = 30.0", "edh_ml = 20.0", 1))
    rules = load_rules(path)
    critical = RULES.critical.model_copy(update={"edh_ml": 20.0})
    assert rules == RULES.model_copy(update={"critical": critical})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("edh_ml = 30.0", "edh_ml = -1", r"critical\.edh_ml = -1: Input should be greater"),
        ("edh_ml = 30.0", "edh_ml = nan", r"critical\.edh_ml = nan: Input should be"),
        ("edh_ml = 30.0", "edh_ml = inf", r"critical\.edh_ml = inf: Input should be a finite"),
        ("edh_ml = 30.0", "edh_ml = true", r"critical\.edh_ml = True: Input should be a valid n"),
        ("edh_ml = 30.0", 'edh_ml = "30"', r"critical\.edh_ml = '30': Input should be a valid n"),
        ("probability = 0.5", "probability = 50", r"high\.probability = 50: .* equal to 1"),
        ("share = 0.85", "share = 85", r"coverage\.share = 85: .* equal to 1"),
        ("total_ml = 50.0", "sum_ml = 50.0\ntotal_ml = 50", r"critical\.sum_ml: is no key of it"),
        ("total_ml = 50.0", "", r"critical\.total_ml: is missing"),
        ('version = "5"', "", "version: is missing"),
        ('version = "5"', "version = 1", "version = 1: Input should be a valid string"),
        ("[review]", "[revue]", "review: is missing"),
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
