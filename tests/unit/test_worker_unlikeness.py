"""How unlike the training data a series is: the score by itself, and on changed real heads."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.heads import kept, sharpened, thinned
from tests.support.phantoms import HEAD_MM, Phantom, ThresholdPredictor
from worker.analysis import analyse
from worker.look.marks import marks
from worker.look.series_look import Look, look
from worker.look.texture import Kernel, Texture
from worker.look.unlikeness import MEASURES, Unlikeness, measured, unlikeness
from worker.munet.checkpoint import SHIPPED, read_card
from worker.munet.measured import Measured, Range
from worker.priority import load_rules
from worker.slices import read_series
from worker.volume import Volume

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"
TRAINING = Measured(
    49, {"noise_hu": Range(3.0, 5.0), "brain_hu": Range(31.0, 36.0)}, bar=0.3, scans_above=2
)
MIDDLE = {"noise_hu": 4.0, "brain_hu": 33.0}


def scored(**values: float) -> Unlikeness:
    found = unlikeness(MIDDLE | values, TRAINING)
    assert found is not None
    return found


def test_a_series_within_all_ranges_scores_0() -> None:
    for noise_hu in (3.0, 4.0, 5.0):
        assert scored(noise_hu=noise_hu).score == 0
    assert str(scored()) == "nothing that is measured lies outside its ranges"


def test_the_score_counts_widths_of_the_range_on_either_side() -> None:
    assert scored(noise_hu=9.0).score == pytest.approx(2.0)
    assert scored(brain_hu=26.0).score == pytest.approx(1.0)


def test_the_score_never_falls_as_a_measure_moves_away() -> None:
    for name, start in MIDDLE.items():
        for way in (-1, 1):
            away = [start + way * step for step in np.linspace(0, 1000, 200)]
            scores = [scored(**{name: value}).score for value in away]
            assert scores == sorted(scores)
            assert all(map(math.isfinite, scores))


def test_the_measure_that_is_furthest_out_is_named_with_its_range() -> None:
    found = scored(noise_hu=11.4, brain_hu=37.0)
    assert found.measure == "noise_hu"
    assert str(found) == "noise 11.4 HU, where that has 3.0 to 5.0 HU (score 3.2)"


def test_a_range_without_width_counts_as_wide_as_a_difference_that_matters() -> None:
    training = replace(TRAINING, ranges={"step_mm": Range(5.0, 5.0)})
    found = unlikeness({"step_mm": 1.0}, training)
    assert found is not None
    assert found.score == pytest.approx(4.0 / MEASURES["step_mm"].least_width)
    assert str(found).startswith("distance of slices 1.0 mm, where that has 5.0 mm")


def test_what_is_missing_counts_for_nothing_and_is_named() -> None:
    whole = scored(brain_hu=40.0)
    part = unlikeness({"brain_hu": 40.0}, TRAINING)
    assert part is not None
    assert (part.score, part.not_measured) == (whole.score, ("noise_hu",))
    assert whole.not_measured == ()


def test_a_measure_that_this_version_does_not_know_is_not_measured() -> None:
    later = replace(TRAINING, ranges={**TRAINING.ranges, "of_a_later_release": Range(0, 1)})
    found = unlikeness(MIDDLE, later)
    assert found is not None
    assert found.not_measured == ("of_a_later_release",)


def test_a_card_without_ranges_and_a_series_without_measures_have_no_score() -> None:
    assert unlikeness(MIDDLE, None) is None
    assert unlikeness({}, TRAINING) is None


def test_what_is_no_finite_number_is_not_measured() -> None:
    texture = Texture(Kernel.SOFT, math.inf, math.nan, None)
    assert measured(Look(is_head=True, texture=texture, step_mm=5.0)) == {"step_mm": 5.0}


def test_only_a_high_score_is_a_mark() -> None:
    seen = Look(is_head=True, step_mm=5.0)
    assert list(marks(seen, scored(noise_hu=5.6))) == []
    assert list(marks(seen, scored(noise_hu=6.0))) == [
        "unlike the training data: noise 6.0 HU, where that has 3.0 to 5.0 HU (score 0.5)"
    ]


def test_what_is_stored_is_plain_json() -> None:
    stored = json.loads(json.dumps(scored(noise_hu=9.0).to_json()))
    assert (stored["score"], stored["bar"], stored["is_high"]) == (2.0, 0.3, True)
    assert (stored["measure"], stored["named"]) == ("noise_hu", "noise")


@pytest.mark.parametrize("measures", [None, TRAINING])
def test_a_mark_changes_no_outcome(measures: Measured | None, tmp_path: Path) -> None:
    paths = Phantom(HEAD_MM, skull=True).write(tmp_path)
    predictor = ThresholdPredictor()
    predictor.card.measured = measures and replace(measures, ranges={"brain_hu": Range(50.0, 60.0)})
    analysis = analyse(paths, predictor, load_rules(), tmp_path / "out")
    assert (analysis.priority.level, analysis.priority.outcome) == (1, "POSITIVE")
    assert any(mark.startswith("unlike the training data") for mark in analysis.marks) == bool(
        measures
    )
    assert (analysis.unlike is None) == (measures is None)


def test_the_shipped_card_says_what_its_61_training_patients_measured() -> None:
    card = read_card(SHIPPED)
    assert card.measured is not None
    assert card.measured.scans == len(card.training["patients"]) == 61
    assert card.measured.ranges.keys() == MEASURES.keys()
    assert card.measured.scans_above <= 0.05 * card.measured.scans


@pytest.fixture(scope="module")
def head() -> Volume:
    """A patient of the same scanner."""
    return read_series(sorted((SAMPLES / "healthy").glob("*.dcm"))).volume


def of_head(head: Volume) -> Unlikeness:
    found = unlikeness(measured(look(head)), read_card(SHIPPED).measured)
    assert found is not None
    assert found.not_measured == ()
    return found


def crisp(head: Volume) -> Volume:
    """Give a head as much noise as it has, all of it fine, as a sharp kernel's."""
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 2) for frame in head.hu])
    return sharpened(replace(head, hu=smooth), noise_hu=4.0)


@pytest.mark.slow
def test_a_head_like_those_of_the_training_is_not_unlike(head: Volume) -> None:
    assert not of_head(head).is_high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "measure"),
    [
        pytest.param(crisp, "fine_share", id="sharp kernel"),
        pytest.param(lambda head: sharpened(head, 15.0), "noise_hu", id="heavy noise"),
        pytest.param(lambda head: thinned(kept(head, range(8, 30)), 5), "step_mm", id="thin"),
        pytest.param(lambda head: replace(head, hu=head.hu + 8), "brain_hu", id="8 HU more"),
        pytest.param(lambda head: replace(head, hu=head.hu - 8), "brain_hu", id="8 HU less"),
        pytest.param(
            lambda head: replace(head, spacing_mm=(0.3, 0.3)), "brain_cm2", id="an infant's size"
        ),
    ],
)
def test_a_changed_head_is_unlike_by_what_was_changed(
    change: Callable[[Volume], Volume], measure: str, head: Volume
) -> None:
    found = of_head(change(head))
    assert found.is_high
    assert found.measure == measure


@pytest.mark.slow
def test_a_head_of_another_scanner_is_unlike() -> None:
    found = of_head(read_series(sorted((SAMPLES / "ge-tilted").glob("*.dcm"))).volume)
    assert found.is_high
    assert found.measure == "brain_hu"
