"""What the list says of a result whose images are unlike the training data."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.entries import ENTRY
from worker.look.unlikeness import unlikeness
from worker.munet.measured import Measured, Range
from worklist.serialization import entry_json
from worklist.text import list_cells
from worklist.unlikeness import make_unlikeness, unlike_training
from worklist.wording import summarise, wording_of

TRAINING = Measured(49, {"noise_hu": Range(3.0, 5.0)}, bar=0.3, scans_above=2)


def stored(noise_hu: float) -> dict[str, Any]:
    """Give what a worker stores."""
    found = unlikeness({"noise_hu": noise_hu}, TRAINING)
    assert found is not None
    return {"noise_hu": noise_hu, "marks": [], "unlike": found.to_json()}


def test_a_high_score_is_read_as_the_worker_stores_it() -> None:
    read = make_unlikeness(stored(11.4))
    assert read is not None
    assert (read.score, read.bar, read.named) == (3.2, 0.3, "noise")
    assert read.words == "noise 11.4 HU, where that has 3.0 to 5.0 HU (score 3.2)"


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(stored(4.0), id="like the training data"),
        pytest.param(stored(5.5), id="below the bar"),
        pytest.param({"unlike": None}, id="a card without ranges"),
        pytest.param({"noise_hu": 4.0}, id="an older worker"),
        pytest.param(None, id="nobody looked"),
        pytest.param({"unlike": {"is_high": True}}, id="half of it"),
        pytest.param({"unlike": {**stored(9.0)["unlike"], "score": "NaN"}}, id="no number"),
    ],
)
def test_nothing_else_is_said(look: dict[str, Any] | None) -> None:
    assert make_unlikeness(look) is None
    assert unlike_training(make_unlikeness(look)) == ""


def test_terminal_and_json_say_it_and_the_outcome_stays() -> None:
    entry = replace(ENTRY, unlike_training=make_unlikeness(stored(11.4)))
    assert summarise(entry) == summarise(ENTRY)  # a row has it in a place of its own
    assert "unlike the training data: noise" in list_cells(entry)[-1]
    assert entry_json(entry)["unlike_training"] == {
        "score": 3.2,
        "bar": 0.3,
        "named": "noise",
        "words": "noise 11.4 HU, where that has 3.0 to 5.0 HU (score 3.2)",
    }
    assert wording_of(entry) == wording_of(ENTRY)
    assert entry_json(ENTRY)["unlike_training"] is None
