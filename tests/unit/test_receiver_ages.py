"""How long a series is quiet, whatever happens to the clock on the wall."""

from datetime import UTC, datetime, timedelta

import pytest

from receiver.completeness.ages import Age, Ages, ReceivingSeries

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LAST = START + timedelta(seconds=10)
HOUR = timedelta(hours=1)


class Steady:
    """A clock that the test winds on."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def ages(steady: Steady) -> Ages:
    return Ages(steady)


def test_what_arrived_before_a_start_has_its_age_by_the_database(ages: Ages) -> None:
    assert ages.age(ReceivingSeries(1, START, LAST), LAST + timedelta(seconds=7)) == Age(17, 7)


@pytest.mark.parametrize("jump", [-HOUR, timedelta(0), HOUR])
def test_a_clock_that_is_set_changes_no_age(ages: Ages, steady: Steady, jump: timedelta) -> None:
    ages.age(ReceivingSeries(1, START, LAST), LAST)
    steady.now_s = 6
    assert ages.age(ReceivingSeries(1, START, LAST), LAST + timedelta(seconds=6) + jump) == Age(
        16, 6
    )


def test_a_last_image_in_the_future_is_waited_for_as_if_it_came_now(
    ages: Ages, steady: Steady
) -> None:
    ages.age(ReceivingSeries(1, START, LAST), LAST - HOUR)
    steady.now_s = 5
    assert ages.age(ReceivingSeries(1, START, LAST), LAST - HOUR) == Age(5, 5)


def test_a_new_image_begins_the_quiet_anew_and_not_the_cap(ages: Ages, steady: Steady) -> None:
    ages.age(ReceivingSeries(1, START, LAST), LAST)
    steady.now_s = 20
    later = LAST + timedelta(seconds=20)
    assert ages.age(ReceivingSeries(1, START, later), later) == Age(30, 0)


def test_a_series_that_is_opened_again_counts_to_the_cap_from_there(
    ages: Ages, steady: Steady
) -> None:
    ages.age(ReceivingSeries(1, START, LAST), LAST)
    late = START + HOUR
    assert ages.age(ReceivingSeries(1, START, late, revision=2), late) == Age(0, 0)
    steady.now_s = 20
    later = late + timedelta(seconds=20)
    assert ages.age(ReceivingSeries(1, START, later, revision=2), later) == Age(20, 0)


def test_a_series_that_is_decided_is_forgotten(ages: Ages, steady: Steady) -> None:
    ages.age(ReceivingSeries(1, START, LAST), LAST)
    ages.forget_others([2])
    steady.now_s = 100
    assert ages.age(ReceivingSeries(1, START, LAST), LAST) == Age(10, 0)
