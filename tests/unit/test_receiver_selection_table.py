"""The table of headers: each row is a test, each study picks its winner in any order."""

import tomllib
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from receiver.selection.images import Selection, select_images
from tests.support.series import rules_without_veto, series

TABLE = tomllib.loads(Path(__file__).with_name("series_table.toml").read_text("utf-8"))
ROWS: dict[str, dict[str, Any]] = {row["name"]: row for row in TABLE["series"]}
RULES = rules_without_veto()


def judged(name: str) -> Selection:
    return select_images(series(ROWS[name]), RULES)


@pytest.mark.parametrize("name", ROWS)
def test_a_series_is_chosen_or_refused_as_the_table_says(name: str) -> None:
    selection, refused = judged(name), ROWS[name].get("refused")
    assert (selection.score is None) == (refused is not None), selection.reason
    assert (refused or ROWS[name]["expect"]) in selection.reason


@pytest.mark.parametrize("study", TABLE["study"], ids=lambda study: study["name"])
def test_the_best_series_of_a_study_wins_in_any_order(study: dict[str, Any]) -> None:
    scores = {name: judged(name).score for name in study["series"]}
    for order in permutations(study["series"]):
        eligible = [name for name in order if scores[name] is not None]
        winner = max(eligible, key=lambda name: scores[name] or 0, default="")
        assert winner == study["winner"], scores


def test_the_table_has_sixty_rows_and_more() -> None:
    assert len(ROWS) == len(TABLE["series"]) >= 60
