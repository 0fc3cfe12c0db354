from datetime import timedelta

import pytest

from receiver.catalogue.retention import is_over, is_spent
from schema.states import JobState, Outcome, SeriesState, StudyState
from tests.support.rows import LONG_AGO

LATER = LONG_AGO + timedelta(days=1)


@pytest.mark.parametrize("outcome", [Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE])
def test_an_old_study_that_was_analysed_is_over(outcome: Outcome) -> None:
    assert is_over(StudyState.DONE, outcome, LONG_AGO, LATER)


@pytest.mark.parametrize("outcome", [Outcome.NOT_ANALYSED, Outcome.FAILED, None])
def test_what_was_not_analysed_is_never_over(outcome: Outcome | None) -> None:
    assert not is_over(StudyState.DONE, outcome, LONG_AGO, LATER)


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING])
def test_what_is_on_its_way_is_never_over(state: StudyState) -> None:
    assert not is_over(state, Outcome.NEGATIVE, LONG_AGO, LATER)


def test_a_new_study_is_not_over() -> None:
    assert not is_over(StudyState.DONE, Outcome.NEGATIVE, LATER, LONG_AGO)


@pytest.mark.parametrize(
    ("state", "jobs", "spent"),
    [
        (SeriesState.SELECTED, [JobState.DONE], True),
        (SeriesState.SELECTED, [JobState.SUPERSEDED, JobState.DONE], True),
        (SeriesState.REJECTED, [], True),
        (SeriesState.RECEIVING, [JobState.DONE], False),
        (SeriesState.SELECTED, [JobState.READY], False),
        (SeriesState.SELECTED, [JobState.RUNNING], False),
        (SeriesState.SELECTED, [JobState.FAILED], False),
    ],
)
def test_a_series_is_spent_when_nobody_will_read_it_again(
    state: SeriesState, jobs: list[JobState], spent: bool
) -> None:
    assert is_spent(state, jobs) == spent
