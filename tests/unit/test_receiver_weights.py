"""The order of the queue: its file, and the points that follow from it."""

from pathlib import Path

import pytest

from receiver.dispatch.order import SHIPPED, load_order
from receiver.dispatch.weigh import Sent, weigh
from schema.dicom import DimsePriority
from schema.errors import SettingsError

GOOD = SHIPPED.read_text("utf-8")
ORDER = load_order()


def points(**sent: object) -> float:
    return weigh(Sent(**sent), ORDER).points  # type: ignore[arg-type]


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "order.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("overdue_min = 30.0", "overdue_minutes = 30.0", "overdue_min"),
        ("overdue_min = 30.0", "overdue_min = 0.0", "overdue_min"),
        ("overdue_min = 30.0", "overdue_min = nan", "overdue_min"),
        ("high = 100.0", "highest = 100.0", "dimse_priority.high"),
        ("high = 100.0", "high = 'first'", "dimse_priority.high"),
        ("ED = 100.0", "ED = 'first'", "location.ED"),
        ("[station]", "[stations]", "station"),
        ('version = "1"', 'version = " "', "version"),
    ],
)
def test_a_bad_key_or_value_is_named_with_its_file(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SettingsError, match=named) as refused:
        load_order(path)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f"{GOOD}\nscaned_days = 3\n")
    with pytest.raises(SettingsError, match=r"other\.scaned_days: is no key of it"):
        load_order(path)


def test_a_missing_file_and_one_that_is_no_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="put the order of the queue there"):
        load_order(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match="compare it with the shipped one"):
        load_order(written(tmp_path, "version = "))


@pytest.mark.parametrize(
    "sent",
    [
        {"called_ae": ["IHSNET_STAT"]},
        {"dimse_priorities": [DimsePriority.MEDIUM, DimsePriority.HIGH]},
        {"requested_priority": "stat"},
        {"locations": ["Zentrale Notaufnahme", "Radiologie"]},
        {"locations": ["ED-BAY 3"]},
        {"locations": ["A&E"]},
        {"descriptions": ["CT HEAD (STAT)"]},
    ],
)
def test_what_says_emergency_goes_before_routine(sent: dict[str, object]) -> None:
    assert points(**sent) > points(calling_ae=["CT1"], dimse_priorities=[DimsePriority.MEDIUM])


@pytest.mark.parametrize(
    "sent",
    [
        {"locations": ["MEDICINE", "Orthopedics"]},
        {"descriptions": ["STATUS POST FALL", "CT HEAD"]},
        {"dimse_priorities": [DimsePriority.LOW]},  # some toolkits send it unless told otherwise
        {},
    ],
)
def test_what_only_looks_like_it_says_nothing(sent: dict[str, object]) -> None:
    assert points(**sent) == 0


def test_what_has_a_result_and_old_scans_go_behind_what_is_new_and_stat_stays_before_routine() -> (
    None
):
    assert points(was_analysed=True) < 0
    assert points(scanned_days_ago=400) < 0
    assert points(scanned_days_ago=1) == 0
    assert points(requested_priority="STAT", scanned_days_ago=400) > 0


def test_a_sites_own_titles_and_stations_count_and_of_a_table_the_best_entry(
    tmp_path: Path,
) -> None:
    text = GOOD.replace("[calling_ae]", '[calling_ae]\n"CT_*" = 5.0\nCT_ER = 70.0')
    order = load_order(written(tmp_path, text.replace("[station]", "[station]\nTRAUMA1 = 7.0")))
    weight = weigh(Sent(calling_ae=["ct_er"], station="Trauma1"), order)
    assert weight.points == 77
    assert [reason.says for reason in weight.reasons] == ["calling AE CT_ER", "station TRAUMA1"]


def test_a_reason_names_the_entry_of_the_file_and_not_what_the_object_says() -> None:
    weight = weigh(Sent(locations=["ED of Jane Doe"]), ORDER)
    assert [reason.says for reason in weight.reasons] == ["location ED"]
    assert weight.to_json() == {
        "version": "1",
        "reasons": [{"says": "location ED", "points": 100.0}],
    }
