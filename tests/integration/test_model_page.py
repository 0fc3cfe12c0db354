"""The model's card on the page: what a reader may expect of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from schema.database import connect, upgrade
from schema.settings import Settings
from tests.support.pages import Browser
from worklist.page import make_app


def page(home: Path, expected: Mapping[str, Any], point: str | None = None, **more: object) -> str:
    """Return the page of a model whose card lets expect this."""
    card = {"name": "tiny", "chosen": "balanced", "metrics": {"crossval": {"expected": expected}}}
    card |= more
    (home / "tiny.json").write_text(json.dumps(card))
    settings = Settings(
        _env_file=None, home=home, model=home / "tiny.safetensors", operating_point=point
    )
    upgrade(settings)
    database = connect(settings)
    try:
        return Browser(make_app(database, settings)).get("/model").text
    finally:
        database.engine.dispose()


def kinds(sensitivity: int, specificity: int) -> dict[str, Any]:
    """Return what an operating point lets expect."""
    found = {"right": 1, "ci95": [3, 97]}
    return {
        "sensitivity": {**found, "cases": 27, "median": sensitivity},
        "specificity": {**found, "cases": 34, "median": specificity},
    }


@pytest.fixture
def expected() -> dict[str, Any]:
    return {"balanced": kinds(91, 87), "high-ppv": kinds(71, 96)}


def test_a_reader_sees_what_to_expect_of_the_next_hundred(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    shown = page(tmp_path, expected)
    assert "calls about <strong>91</strong> (3 to 97)" in shown
    assert "leaves about <strong>87</strong> alone (3 to 97)" in shown
    assert "From 27 patients with and 34 without blood" in shown


def test_it_is_that_of_the_operating_point_in_force(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    assert "calls about <strong>71</strong>" in page(tmp_path, expected, "high-ppv")


def test_thresholds_of_a_site_are_not_promised_what_the_card_measured_at_others(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    shown = page(tmp_path, expected, training={"site": {"studies": 20}})
    assert "does not say how many of the next patients it calls right" in shown


def test_a_card_that_does_not_know_promises_nothing(tmp_path: Path) -> None:
    assert "does not say how many of the next patients it calls right" in page(tmp_path, {})


def test_an_average_of_networks_is_not_promised_what_each_of_them_was_measured_at(
    tmp_path: Path, expected: dict[str, Any]
) -> None:
    said = "the average of 4 such networks"
    assert said in page(tmp_path, expected, members=4)
    assert said.replace("4", "1") not in page(tmp_path, expected, members=1)
