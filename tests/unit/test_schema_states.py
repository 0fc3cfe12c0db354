import pytest

from schema.errors import IllegalMoveError
from schema.states import MOVES, DeliveryState, JobState, SeriesState, StudyState, move


def test_every_state_has_its_moves() -> None:
    for kind in (StudyState, SeriesState, JobState, DeliveryState):
        assert set(MOVES[kind]) == set(kind)


def test_a_finished_job_never_runs_again() -> None:
    for state in (JobState.DONE, JobState.FAILED, JobState.SUPERSEDED):
        with pytest.raises(IllegalMoveError):
            move(state, JobState.READY)


def test_states_of_two_kinds_with_one_name_have_their_own_moves() -> None:
    assert move(StudyState.READY, StudyState.DONE) is StudyState.DONE
    with pytest.raises(IllegalMoveError, match="JobState: no move from READY to DONE"):
        move(JobState.READY, JobState.DONE)


def test_staying_is_no_move() -> None:
    assert move(JobState.DONE, JobState.DONE) is JobState.DONE
