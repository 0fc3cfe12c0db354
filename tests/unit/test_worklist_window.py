from datetime import UTC, datetime, timedelta

import pytest

from schema.states import Outcome
from worklist.window import Place, View, Window, WindowError, read_window

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PLAIN = Window()


def read(**given: str) -> Window:
    return read_window(given, NOON, PLAIN)


def test_nothing_asked_is_the_default() -> None:
    assert read(search=" ", outcome="") == PLAIN


def test_an_outcome_may_be_written_small() -> None:
    assert read(outcome="positive").outcome is Outcome.POSITIVE


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90min", NOON - timedelta(minutes=90)),
        ("14d", NOON - timedelta(days=14)),
        ("2026-02-28", datetime(2026, 2, 28, tzinfo=UTC)),
        ("2026-02-28T08:00+01:00", datetime(2026, 2, 28, 7, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_or_an_age(text: str, moment: datetime) -> None:
    assert read(since=text).since == moment


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("outcome", "GOOD"),
        ("state", "ASLEEP"),
        ("view", "mine"),
        ("priority", "5"),
        ("priority", "-1"),
        ("limit", "0"),
        ("limit", "1000000"),
        ("since", "soon"),
        ("until", "2026-13-01"),
        ("after", "nowhere"),
        ("after", "WzEsIDIsIDNd"),
        ("search", "^"),
        ("search", ", ^"),
        ("search", "one two three four five six seven eight nine"),
    ],
)
def test_a_value_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(WindowError, match=name):
        read(**{name: value})


def test_a_search_may_have_eight_words() -> None:
    assert read(search="1 2 3, 4 5^6 7 8").search == "1 2 3, 4 5^6 7 8"


def test_a_filter_that_is_none_is_named_and_not_passed_over() -> None:
    with pytest.raises(WindowError, match="outcme: no such filter"):
        read(outcme="POSITIVE")


def test_an_age_before_the_calendar_is_refused() -> None:
    with pytest.raises(WindowError):
        read(since="999999w")


def test_unread_is_a_view_of_its_own() -> None:
    assert read(unread="1").view is View.UNREAD


def test_a_place_is_read_as_it_was_written() -> None:
    place = Place(-1, NOON, 7)
    assert Place.read(place.written()) == place
