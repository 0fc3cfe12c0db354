"""The order in which waiting jobs are taken, as a function of values."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schema.queue import WaitingJob, in_order

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def waiting(number: int, weight: float, minutes: float, bound: float | None = 30) -> WaitingJob:
    made = NOW - timedelta(minutes=minutes)
    overdue_at = None if bound is None else made + timedelta(minutes=bound)
    return WaitingJob(number, weight, made, overdue_at)


def ids(*jobs: WaitingJob) -> list[int]:
    return [job.id for job in in_order(jobs, NOW)]


def test_more_points_go_first_and_among_equals_the_older() -> None:
    assert ids(waiting(1, 0, 9), waiting(2, 100, 1), waiting(3, 100, 2), waiting(4, -50, 20)) == [
        3, 2, 1, 4,
    ]  # fmt: skip


def test_what_waits_too_long_takes_turns_with_the_most_urgent() -> None:
    stat = [waiting(number, 100, 1) for number in (1, 2, 3)]
    assert ids(*stat, waiting(8, 0, 31), waiting(9, 0, 40)) == [9, 1, 8, 2, 3]


def test_a_stat_head_waits_for_one_study_however_many_wait_too_long() -> None:
    backlog = [waiting(number, 0, 60) for number in range(100)]
    assert ids(*backlog, waiting(999, 100, 0)).index(999) == 1


def test_a_job_of_a_program_without_an_order_waits_too_long_at_once() -> None:
    assert ids(waiting(1, 100, 1), waiting(2, 0, 2, bound=None)) == [2, 1]


jobs = st.builds(waiting, st.integers(0, 10**6), st.floats(-9, 9), st.floats(0, 90))


@given(st.lists(jobs, max_size=40, unique_by=lambda job: job.id))
def test_everybody_has_one_place_and_of_two_in_a_row_one_is_overdue_while_there_are_any(
    queue: list[WaitingJob],
) -> None:
    order = in_order(queue, NOW)
    assert sorted(job.id for job in order) == sorted(job.id for job in queue)
    overdue = [job.is_overdue(NOW) for job in order]
    last = max((place for place, late in enumerate(overdue) if late), default=0)
    assert all(overdue[place] or overdue[place + 1] for place in range(last))
