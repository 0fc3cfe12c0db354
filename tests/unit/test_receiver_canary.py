"""The synthetic head and its known result."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from receiver.canary.head import BLOOD_HU, POSITIONS_MM, blood_ml, draw
from receiver.canary.known import Result, describe, is_known, load_known
from receiver.canary.objects import make_objects
from receiver.selection.dry_run import try_folder
from receiver.selection.rules import load_rules
from tests.support.phantoms import write
from worker.munet.checkpoint import SHIPPED, read_card

KNOWN = load_known()
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


def result(**changes: object) -> Result:
    given = {
        "outcome": KNOWN.outcome,
        "priority": KNOWN.levels[0],
        "any_ml": KNOWN.volume.any_ml,
        "model_sha256": KNOWN.volume.model_sha256,
        "reason": "more than 30 mL",
    }
    return Result.model_validate(given | changes)


def test_the_head_is_the_same_each_time() -> None:
    assert np.array_equal(draw(15.0), draw(15.0))
    assert draw(15.0).max() > BLOOD_HU
    assert blood_ml() > 30


def test_the_front_door_takes_it_for_a_head(tmp_path: Path) -> None:
    write(list(make_objects("2.25.1", NOW)), tmp_path / "canary")
    tried = try_folder(tmp_path / "canary", load_rules())
    (series,) = tried.studies[0].series
    assert series.objects == len(POSITIONS_MM)
    assert series.score is not None


def test_no_two_canaries_share_a_uid() -> None:
    first, second = (
        {str(ds.SOPInstanceUID) for ds in make_objects("2.25.1", NOW)} for _ in range(2)
    )
    assert len(first) == len(second) == len(POSITIONS_MM)
    assert not first & second


def test_the_known_volume_is_the_shipped_models() -> None:
    assert read_card(SHIPPED).sha256 == KNOWN.volume.model_sha256


def test_the_known_result_is_known() -> None:
    assert is_known(result(), KNOWN)


@pytest.mark.parametrize(
    "changes",
    [
        {"outcome": "NEGATIVE", "priority": 4, "any_ml": 0.0},
        {"outcome": "FAILED", "priority": 0, "any_ml": 0.0},
        {"priority": 3},
        {"any_ml": KNOWN.volume.any_ml * 1.2},
        {"any_ml": KNOWN.volume.any_ml * 0.8},
    ],
)
def test_another_result_is_not(changes: dict[str, object]) -> None:
    assert not is_known(result(**changes), KNOWN)


def test_another_backend_may_measure_a_little_more_or_less() -> None:
    assert is_known(result(any_ml=KNOWN.volume.any_ml * 1.05), KNOWN)


def test_another_model_is_held_to_outcome_and_level_alone() -> None:
    other = {"model_sha256": "ab" * 32, "any_ml": 2 * KNOWN.volume.any_ml}
    assert is_known(result(**other), KNOWN)
    assert not is_known(result(**other, outcome="NEGATIVE"), KNOWN)
    assert "whose volume is unknown" in describe(result(**other), KNOWN)


def test_a_canary_that_failed_says_why() -> None:
    failed = result(outcome="FAILED", priority=0, any_ml=0, reason="a file is missing")
    assert describe(failed, KNOWN) == "FAILED: a file is missing"
