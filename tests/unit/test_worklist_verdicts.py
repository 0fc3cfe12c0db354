from dataclasses import replace

import pytest

from schema.states import Outcome, StudyState
from tests.support.entries import ENTRY as PLAIN
from worklist.entries import Entry, FindingRow
from worklist.verdicts import OUTCOMES, count_verdicts, judge, name_findings, name_level

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
    assert judge(done(Outcome.NEGATIVE)).note == "Does not exclude hemorrhage."


@pytest.mark.parametrize("outcome", WITHOUT_RESULT)
def test_a_study_without_result_looks_nothing_like_none_found(outcome: Outcome | None) -> None:
    shown, none_found = judge(done(outcome)), judge(done(Outcome.NEGATIVE))
    assert shown.key != none_found.key
    assert shown.words != none_found.words


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING])
def test_a_waiting_study_says_that_there_is_no_result_yet(state: StudyState) -> None:
    assert judge(replace(ENTRY, state=state, outcome=None)).note == "No result yet."


def test_a_suspicion_stays_while_more_images_are_analysed() -> None:
    assert judge(again(Outcome.POSITIVE)).words == "Hemorrhage suspected"


def test_none_found_goes_while_more_images_are_analysed() -> None:
    assert judge(again(Outcome.NEGATIVE)).words == "Waiting for analysis"


def test_none_found_after_an_earlier_suspicion_is_a_conflict() -> None:
    assert judge(replace(ENTRY, priority=1)).words == "Conflicting results"


@pytest.mark.parametrize("outcome", WITHOUT_RESULT)
def test_a_failure_after_an_earlier_suspicion_needs_review(outcome: Outcome | None) -> None:
    assert "Needs review" in judge(replace(done(outcome), priority=2)).note


def test_a_finding_is_named_with_its_volume() -> None:
    assert name_findings(done(Outcome.POSITIVE)) == ("IPH 31.0 mL",)


@pytest.mark.parametrize("outcome", [Outcome.NEGATIVE, *WITHOUT_RESULT])
def test_a_study_without_suspicion_names_no_findings(outcome: Outcome | None) -> None:
    assert name_findings(done(outcome)) == ()


def test_studies_are_counted_by_what_is_read() -> None:
    entries = [done(Outcome.NEGATIVE), done(Outcome.FAILED), done(Outcome.NEGATIVE)]
    counts = {verdict.words: number for verdict, number in count_verdicts(entries).items()}
    assert counts == {"None found": 2, "Analysis failed": 1}


@pytest.mark.parametrize(
    ("priority", "words"), [(1, "1 critical"), (4, "4 none found"), (0, "normal place")]
)
def test_a_level_is_named(priority: int, words: str) -> None:
    assert name_level(priority) == words
