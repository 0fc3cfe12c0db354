from dataclasses import replace

import pytest

from schema.hemorrhage_subtypes import Claim
from schema.readers import DisagreementCause
from schema.states import Outcome, StudyState
from tests.support.entries import ENTRY as PLAIN
from worklist.coverage import Coverage, Gap
from worklist.entries import Entry, FindingRow
from worklist.text import describe_finding, list_cells
from worklist.wording import (
    CAUSES,
    OUTCOMES,
    name_findings,
    name_level,
    say_claim,
    summarise,
    wording_of,
)

ENTRY = replace(
    PLAIN,
    findings=(
        FindingRow("any", 0.9, 31.0, present=True),
        FindingRow("IPH", 0.9, 31.0, present=True),
        FindingRow("SDH", 0.1, 0.2, present=False),
    ),
)
WITHOUT_RESULT = [Outcome.NOT_ANALYSED, Outcome.FAILED, None]


def done(outcome: Outcome | None) -> Entry:
    return replace(ENTRY, outcome=outcome)


def again(earlier: Outcome) -> Entry:
    return replace(ENTRY, state=StudyState.READY, outcome=None, earlier_outcome=earlier)


def test_every_outcome_has_words() -> None:
    assert set(OUTCOMES) == {*Outcome, None}


def test_none_found_says_that_it_does_not_exclude_hemorrhage() -> None:
    assert wording_of(done(Outcome.NEGATIVE)).note == "Does not exclude hemorrhage."


@pytest.mark.parametrize("outcome", WITHOUT_RESULT)
def test_a_study_without_result_looks_nothing_like_none_found(outcome: Outcome | None) -> None:
    shown, none_found = wording_of(done(outcome)), wording_of(done(Outcome.NEGATIVE))
    assert shown.key != none_found.key
    assert shown.words != none_found.words


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING])
def test_a_waiting_study_says_that_there_is_no_result_yet(state: StudyState) -> None:
    assert wording_of(replace(ENTRY, state=state, outcome=None)).note == "No result yet."


def test_a_suspicion_stays_while_more_images_are_analysed() -> None:
    assert wording_of(again(Outcome.POSITIVE)).words == "Hemorrhage suspected"


def test_none_found_goes_while_more_images_are_analysed() -> None:
    assert wording_of(again(Outcome.NEGATIVE)).words == "Waiting for analysis"


def test_none_found_after_an_earlier_suspicion_is_a_conflict() -> None:
    assert wording_of(replace(ENTRY, priority=1)).words == "Conflicting results"


@pytest.mark.parametrize("outcome", WITHOUT_RESULT)
def test_a_failure_after_an_earlier_suspicion_needs_review(outcome: Outcome | None) -> None:
    assert "Needs review" in wording_of(replace(done(outcome), priority=2)).note


@pytest.mark.parametrize("outcome", [Outcome.NEGATIVE, *WITHOUT_RESULT])
def test_a_part_in_which_nothing_was_suspected_is_no_earlier_suspicion(
    outcome: Outcome | None,
) -> None:
    shown = wording_of(replace(done(outcome), priority=3, priority_reason=PART))
    assert shown.words == OUTCOMES[outcome].words
    assert "uspicion" not in shown.note


@pytest.mark.parametrize("earlier", [Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.FAILED])
def test_a_study_of_which_more_arrives_says_so(earlier: Outcome) -> None:
    shown = wording_of(replace(again(earlier), state=StudyState.RECEIVING))
    assert "More images are arriving" in shown.note


@pytest.mark.parametrize("state", [StudyState.READY, StudyState.RUNNING])
def test_a_study_that_is_analysed_again_does_not_claim_more_images(state: StudyState) -> None:
    # Perhaps its patient was corrected, or an operator asked: no image is new then.
    shown = wording_of(replace(again(Outcome.POSITIVE), state=state))
    assert shown.note == "It is being analysed again."


def test_every_cause_has_words() -> None:
    assert set(CAUSES) == set(DisagreementCause)


def claimed(claim: Claim, volume_ml: float = 2.0) -> Entry:
    finding = FindingRow("SAH", 0.9, volume_ml, present=True, claim=claim)
    return replace(done(Outcome.POSITIVE), findings=(finding,))


@pytest.mark.parametrize(
    ("claim", "named"),
    [
        (Claim.REPORTED, ("SAH 2.0 mL",)),
        (Claim.HINTED, ("perhaps SAH",)),
        (Claim.NOT_TOLD_APART, ()),
    ],
)
def test_a_type_is_named_as_far_as_it_was_learned(claim: Claim, named: tuple[str, ...]) -> None:
    assert name_findings(claimed(claim)) == named


@pytest.mark.parametrize(
    ("volume_ml", "named"), [(90.0, "perhaps IPH"), (89.0, "in part perhaps IPH")]
)
def test_a_hint_of_a_part_of_the_blood_is_not_read_as_one_of_all(
    volume_ml: float, named: str
) -> None:
    total = FindingRow("any", 0.9, 100.0, present=True)
    hint = FindingRow("IPH", 0.9, volume_ml, present=True, claim=Claim.HINTED)
    entry = replace(done(Outcome.POSITIVE), findings=(total, hint))
    assert name_findings(entry) == ("100.0 mL of blood", named)


def test_a_type_that_was_never_learned_is_not_said_to_be_absent() -> None:
    absent = FindingRow("SAH", 0.1, 0.0, present=False, claim=Claim.NOT_TOLD_APART)
    assert "outlined" not in say_claim(absent)


@pytest.mark.parametrize("subtype", ["any", "IPH"])
@pytest.mark.parametrize("claim", [Claim.REPORTED, Claim.HINTED])
def test_what_is_suspected_without_an_outline_is_not_said_to_be_absent(
    subtype: str, claim: Claim
) -> None:
    suspected = FindingRow(subtype, 0.91, 0.0, present=False, claim=claim)
    assert say_claim(suspected) == "none outlined"


@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (FindingRow("any", 0.9, 3.0, present=True), "any found, 3.0 mL, score 0.90"),
        (FindingRow("EDH", 0.1, 0.0, present=False), "EDH none outlined, score 0.10"),
        (
            FindingRow("SAH", 0.1, 0.0, present=False, claim=Claim.NOT_TOLD_APART),
            "SAH not told apart from other blood",
        ),
        (FindingRow("IPH", 0.9, 3.0, present=True, claim=Claim.HINTED), "IPH perhaps, score 0.90"),
        (FindingRow("EDH", 0.4, 0.04, present=True), "EDH none outlined, score 0.40"),
    ],
)
def test_a_terminal_says_no_more_of_a_type_than_the_page(finding: FindingRow, said: str) -> None:
    assert describe_finding(finding) == said


PART = "none found in the part seen (80 % of the head, from 0 to 140 mm; gap of 30 mm)"


def test_the_part_that_was_seen_is_named_once() -> None:
    seen = Coverage(0, 140, 0.806, (Gap(55, 85),))
    entry = replace(done(Outcome.INDETERMINATE), priority=3, reason=PART, priority_reason=PART)
    entry = replace(entry, coverage=seen)
    assert summarise(entry).count("80 %") == list_cells(entry)[-1].count("80 %") == 1


def test_the_part_that_was_seen_is_named_beside_a_bleed() -> None:
    entry = replace(done(Outcome.POSITIVE), coverage=Coverage(0, 70, 0.6), priority_reason="9 mL")
    assert "art seen: 60 % of the head" in summarise(entry)


def test_nothing_is_a_finding_that_would_be_written_as_zero() -> None:
    assert name_findings(claimed(Claim.REPORTED, volume_ml=0.049)) == ()


def test_a_reason_says_each_thing_once() -> None:
    twice = replace(ENTRY, reason="IPH 31.0 mL", priority=1, priority_reason="IPH 31.0 mL")
    assert summarise(replace(twice, outcome=Outcome.POSITIVE)) == "IPH 31.0 mL"


def test_the_caution_of_none_found_is_said_once() -> None:
    reason = "no hemorrhage found; does not exclude hemorrhage"
    none_found = replace(done(Outcome.NEGATIVE), reason=reason, priority_reason=reason)
    assert summarise(none_found) == "No hemorrhage found; does not exclude hemorrhage"
    assert list_cells(none_found)[-1] == reason


def test_uids_bytes_and_scores_stay_out_of_a_row() -> None:
    reason = (
        "SOP instance 1.2.840.113.9.1: Pixel Data has 12 bytes, probability 0.41; send it again"
    )
    said = summarise(replace(done(Outcome.NOT_ANALYSED), reason=reason))
    assert not any(detail in said for detail in ("1.2.840", "bytes", "0.41"))
    assert "send it again" in said


def test_a_part_of_a_head_is_named_first() -> None:
    part = replace(ENTRY, coverage=Coverage(0, 60, 0.5))
    assert summarise(part).startswith("Part seen: 50 % of the head")


def test_a_finding_is_named_with_its_volume() -> None:
    assert name_findings(done(Outcome.POSITIVE)) == ("31.0 mL of blood", "IPH 31.0 mL")


@pytest.mark.parametrize("outcome", [Outcome.NEGATIVE, *WITHOUT_RESULT])
def test_a_study_without_suspicion_names_no_findings(outcome: Outcome | None) -> None:
    assert name_findings(done(outcome)) == ()


@pytest.mark.parametrize(
    ("priority", "words"), [(1, "1 critical"), (4, "4 none found"), (0, "normal place")]
)
def test_a_level_is_named(priority: int, words: str) -> None:
    assert name_level(priority) == words
