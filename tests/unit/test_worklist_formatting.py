from datetime import datetime, timedelta, timezone

import pytest

from worklist.formatting import calendar_date, clock, duration, flatten, person_name, printable


@pytest.mark.parametrize("hostile", ["\x1b[2J", "a\nb", "\u202eabc", "a\x00b"])
def test_what_a_terminal_would_obey_is_replaced(hostile: str) -> None:
    assert printable(hostile).isprintable()


def test_letters_of_any_language_stay() -> None:
    for name in ("Müller 山田", "نیک\u200cپی", "क्\u200dष"):
        assert printable(name) == name


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("DOE^JANE", "DOE, JANE"),
        ("DOE^JANE^M^^", "DOE, JANE M"),
        ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
        ("=山田^太郎=やまだ^たろう", "山田, 太郎"),
        ("^^^^==やまだ^たろう", "やまだ, たろう"),
        ("ANON", "ANON"),
        ("", ""),
        ("^^^^", ""),
    ],
)
def test_a_person_name_is_read_as_a_person_would(name: str, read: str) -> None:
    assert person_name(name) == read


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (59.9, "59 s"), (61, "1 min"), (3660, "1 h 01 min"), (90000, "1 d 1 h")],
)
def test_a_duration_has_its_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_time_is_shown_in_utc() -> None:
    noon_in_delhi = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert clock(noon_in_delhi) == "2026-03-01 06:30:00 UTC"


@pytest.mark.parametrize(
    ("date", "shown"), [("20260301", "2026-03-01"), ("soon", "soon"), ("", "")]
)
def test_a_date_is_shown_with_dashes_if_it_is_one(date: str, shown: str) -> None:
    assert calendar_date(date) == shown


def test_nested_values_get_names_with_dots() -> None:
    assert dict(flatten({"volume_ml": {"IPH": 31.25}, "shift_mm": None})) == {
        "volume_ml.IPH": "31.25",
        "shift_mm": "not measured",
    }
