"""The table of names: what each does to the rank of a series whose images are always the same."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from receiver.selection.images import select_images
from receiver.selection.names import read
from tests.support.series import rules_without_veto, series

TABLE = tomllib.loads(Path(__file__).with_name("names_table.toml").read_text("utf-8"))
BLIND = tomllib.loads(Path(__file__).with_name("names_table_blind.toml").read_text("utf-8"))
# The rules still get these wrong; each is looked at all the same, for no name refuses a series.
KNOWN_MISSES = {
    "CT THIN BONE PNS",
    "Headington Oxford | CT Chest 5.0",
    "Kopf 10 min p.i.",
    "NNH nativ",
    "Felsenbein nativ",
    "Mastoide sin",
    "ORBITAS SIN CONTRASTE",
    "TC CE sem contraste",
    "Trauma | FACIAL BONES 5MM",
}
ROWS: list[dict[str, Any]] = [row for group in TABLE["group"] for row in group["rows"]]
RULES = rules_without_veto()
IMAGES = {"kernel": "H31s", "type": "ORIGINAL\\PRIMARY\\AXIAL"}
LAST = -20.0  # points that a name takes away at least


def score(row: dict[str, str]) -> float:
    selection = select_images(series(row), RULES)
    assert selection.score is not None, selection.reason
    return selection.score


UNNAMED = score(IMAGES)


def split(name: str) -> tuple[str, str]:
    """Give protocol and description; most rows have no protocol."""
    protocol, bar, description = name.rpartition(" | ")
    return (protocol, description) if bar else ("", name)


def rank(name: str) -> str:
    protocol, description = split(name)
    points = score(IMAGES | {"desc": description, "protocol": protocol}) - UNNAMED
    return "first" if points >= 0 else "last" if points <= LAST else "behind"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_name_ranks_its_series_as_the_table_says(row: dict[str, str]) -> None:
    assert rank(row["name"]) == row["expect"]


def test_names_that_others_wrote_rank_as_they_say_but_for_those_that_are_known() -> None:
    rows = [row for group in BLIND["group"] for row in group["rows"]]
    assert len(rows) == 238
    assert {row["name"] for row in rows if rank(row["name"]) != row["expect"]} == KNOWN_MISSES


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_name_says_of_contrast_what_the_table_says(row: dict[str, str]) -> None:
    contrast = read(RULES.words, split(row["name"])[1]).contrast
    both = {(True, True): "both", (True, False): "with", (False, True): "without"}
    assert both.get((bool(contrast.given), bool(contrast.denied))) == row.get("says")


def test_the_table_has_more_than_a_hundred_and_fifty_names_with_a_reason_each() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS) >= 150
    assert all(row["why"] for row in ROWS)
    assert all(group["source"] for group in TABLE["group"])
