"""The table of studies: which series of each are analysed, and which come next."""

import tomllib
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from receiver.selection.dry_run import chosen_of
from receiver.selection.images import Selection, select_images
from schema.scans import Scan, adds, seconds_between, time_of_day
from tests.support.series import rules_without_veto, series


def table(name: str) -> list[dict[str, Any]]:
    studies: list[dict[str, Any]] = tomllib.loads(
        Path(__file__).with_name(name).read_text("utf-8")
    )["study"]
    return studies


TABLE = table("study_table.toml")
BLIND = table("study_table_blind.toml")  # by somebody who had not seen the rules
AGAINST = table("study_table_against.toml")  # by somebody who had, and looked for their gaps
RULES = rules_without_veto()


def judged(study: dict[str, Any]) -> dict[str, Selection]:
    return {
        row.get("id", row.get("desc")): select_images(series(_row(row)), RULES)
        for row in study["series"]
    }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Fill in what the table leaves out."""
    full = {"kernel": "H31s", "type": "ORIGINAL\\PRIMARY\\AXIAL"} | row
    count, step_mm = full.get("count", 32), full.get("step_mm", 5.0)
    full["slice_position_mm"] = [
        full.get("low_mm", 0.0) + index * step_mm for index in range(count)
    ]
    times = {"AcquisitionDate": "20260101", "AcquisitionTime": row["at"]} if "at" in row else {}
    return full | {"attributes": times | row.get("attributes", {})}


def ranked(names: dict[str, Selection]) -> list[str]:
    eligible = [name for name in names if names[name].score is not None]
    return sorted(eligible, key=lambda name: -(names[name].score or 0))


def marked(study: dict[str, Any]) -> Any:
    miss = study.get("known_miss")
    marks = [pytest.mark.xfail(strict=True, reason=miss)] if miss else []
    return pytest.param(study, marks=marks)


@pytest.mark.parametrize(
    "study",
    [marked(study) for study in [*TABLE, *BLIND, *AGAINST]],
    ids=lambda study: study["name"],
)
def test_of_a_study_the_series_of_the_table_are_analysed(study: dict[str, Any]) -> None:
    selections = judged(study)
    order = ranked(selections)
    chosen = chosen_of([selections[name] for name in order])
    taken = [name for name in order if any(selections[name] is selection for selection in chosen)]
    reasons = {name: selection.reason for name, selection in selections.items()}
    assert sorted(taken) == sorted(study["analysed"]), reasons
    if study.get("only_analysed"):
        return
    assert [name for name in order if name not in taken] == study.get("then", []), reasons
    assert set(selections) - set(order) == set(study.get("refused", [])), reasons


def test_the_table_has_more_than_forty_studies_with_a_reason_each() -> None:
    assert len({study["name"] for study in TABLE}) == len(TABLE) >= 40
    assert all(study["why"] for study in TABLE)


def test_what_a_scan_adds_to_another_is_named() -> None:
    first = Scan(70.0, "20260101080000.5", 0.0, 155.0)
    assert adds(Scan(70.0, "20260101140000", 0.0, 155.0), first) == "another scan, 6.0 h later"
    assert adds(first, Scan(70.0, "20260101080210", 0.0, 155.0)) == "another scan, 2 min earlier"
    assert adds(Scan(69.0, "20260101080000", -50.0, 100.0), first).startswith("another part, 50 mm")


def test_long_after_a_scan_no_word_makes_another_one_the_same() -> None:
    morning = Scan(78.0, "20260101080000", 0.0, 155.0)
    for score in (52.0, 68.0):  # `Delayed head` with an agent in it; an agent alone
        assert adds(Scan(score, "20260101140000", 0.0, 155.0), morning)
        assert not adds(Scan(score, "20260101080500", 0.0, 155.0), morning)  # a phase of the same


def test_a_short_head_takes_a_part_that_is_named_after_the_petrous_bone() -> None:
    cerebrum, base = Scan(77.0, "", 60.0, 165.0), Scan(64.0, "", 0.0, 60.0)
    assert adds(base, cerebrum).startswith("another part, 60 mm")
    assert not adds(base, Scan(77.0, "", 40.0, 195.0))


@pytest.mark.parametrize(
    "other",
    [
        Scan(70.0, "20260101080001", 0.0, 155.0),
        Scan(70.0, "", 0.0, 170.0),
        Scan(70.0, "080900", 0.0, 155.0),
        Scan(62.0, "20260101080500", -99.0, 155.0),
        Scan(41.0, "20260101140000", -99.0, 155.0),
        Scan(70.0),
    ],
    ids=[
        "same scan",
        "slightly longer",
        "time without date",
        "of another kind",
        "of the body",
        "unknown",
    ],
)
def test_what_shows_the_same_adds_nothing(other: Scan) -> None:
    assert not adds(other, Scan(70.0, "20260101080000", 0.0, 155.0))


def test_a_time_that_is_none_is_not_known() -> None:
    assert seconds_between("20260101250000", "20260101080000") is None
    assert time_of_day("yesterday") == ""
    assert time_of_day("081500.25") == "08:15:00"


def test_the_order_of_series_does_not_change_which_are_chosen() -> None:
    study = next(row for row in TABLE if row["name"].endswith("thin and thick each"))
    selections = judged(study)
    for names in permutations(selections):
        order = sorted(names, key=lambda name: -(selections[name].score or 0))
        chosen = chosen_of([selections[name] for name in order])
        assert {name for name in names if selections[name] in chosen} == set(study["analysed"])
