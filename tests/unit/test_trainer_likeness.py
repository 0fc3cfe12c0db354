"""What training patients measure, and the bar that is chosen on them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.ctich import make
from tests.support.heads import SHARED
from tests.support.labelled import kinds, make_bhsd
from tests.support.models import tiny_model
from trainer.cli import app
from trainer.datasets.slices import DataError
from trainer.datasets.sources import read_release
from trainer.datasets.stored import read_stored
from trainer.evaluation.likeness import LEAST, left_out, measure, summed_up, with_ranges
from worker.munet import checkpoint
from worker.munet.card import Card


def scans(count: int, **outlier: float) -> dict[int, dict[str, float]]:
    rng = np.random.default_rng(1)
    made = {
        number: {"noise_hu": 4 + float(noise), "step_mm": 5.0}
        for number, noise in enumerate(rng.normal(0, 0.5, count), 1)
    }
    made[1] |= outlier
    return made


def test_no_more_than_a_twentieth_of_the_training_scans_is_above_the_bar() -> None:
    for count in (LEAST, 19, 20, 49, 100):
        training = summed_up(scans(count))
        assert training is not None
        assert training.scans == count
        assert training.scans_above <= 0.05 * count


def test_one_scan_of_a_kind_makes_its_kind_no_more_familiar() -> None:
    noisy = scans(49, noise_hu=40.0)
    training = summed_up(noisy)
    assert training is not None
    assert training.ranges["noise_hu"].high < 6
    assert left_out(noisy)[1].score > training.bar
    assert left_out(noisy)[1].measure == "noise_hu"


def test_all_scans_of_a_person_are_left_out_together() -> None:
    first = 2 * 10**8  # its last two digits count its scans
    twice = scans(20) | {first + n: {"noise_hu": 40.0, "step_mm": 5.0} for n in range(15)}
    assert left_out(twice)[first].score > 10


def test_a_measure_that_few_have_has_no_range() -> None:
    few = scans(20)
    for number in range(1, 12):
        del few[number]["noise_hu"]
    training = summed_up(few)
    assert training is not None
    assert training.ranges.keys() == {"step_mm"}


def test_too_few_scans_have_no_ranges() -> None:
    assert summed_up(scans(LEAST - 1)) is None
    assert summed_up({}) is None


def test_a_card_keeps_its_ranges_and_one_without_has_none(tmp_path) -> None:
    card = checkpoint.read_card(tiny_model(tmp_path / "tiny.safetensors"))
    assert card.measured is None
    assert with_ranges(card, None) == card
    training = summed_up(scans(20))
    written = Card.from_json(json.dumps(with_ranges(card, training).to_json()))
    assert written.measured == training


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"bar": "high"}, "training.measured: bar"),
        ({"bar": -1.0}, "the bar is a score"),
        ({"ranges": {"noise_hu": {"low": 5.0, "high": 3.0}}}, "no smaller"),
        ({"scans": 0}, "ranges of no scan"),
    ],
)
def test_ranges_that_make_no_sense_are_refused_with_the_card(wrong, told, tmp_path) -> None:
    card = checkpoint.read_card(tiny_model(tmp_path / "tiny.safetensors"))
    good = with_ranges(card, summed_up(scans(20))).training["measured"]
    with pytest.raises(ValueError, match=told):
        replace(card, training={"measured": {**good, **wrong}})


def test_published_pictures_are_measured_on_the_scanners_grid() -> None:
    folder = SHARED / "ct-ich"
    if not folder.is_dir():
        pytest.skip("CT-ICH is not here; set IHSNET_TEST_DATA to the folder that holds ct-ich")
    release = read_release(folder)
    head = read_stored(release.of(57)[:2])
    assert head.hu.shape == (2, 512, 512)
    assert head.spacing_mm == pytest.approx((650 * 0.33 / 512,) * 2)


def test_thin_planes_are_measured_as_they_are_stored(tmp_path) -> None:
    make_bhsd(tmp_path, {"ID_1_ID_0": kinds(20)}, step_mm=1.25)
    release = read_release(tmp_path)
    assert len(release.slices) < 20  # laid out in slabs for the network
    head = read_stored(release.slices)
    assert len(head.hu) == 20
    assert np.diff(head.slice_position_mm) == pytest.approx(1.25)


def test_what_shows_no_head_is_not_measured_and_a_missing_patient_is_named(tmp_path) -> None:
    release = read_release(make(tmp_path, {1: (), 2: ("EDH",)}))
    assert dict(measure(release, [1, 2])) == {}
    with pytest.raises(DataError, match=r"patients \[3\] are not in these data"):
        dict(measure(release, [3]))


def test_the_command_says_why_it_measures_nothing(tmp_path) -> None:
    make(tmp_path / "data", {1: (), 2: ()})
    model, out = tiny_model(tmp_path / "tiny.safetensors"), tmp_path / "out.safetensors"
    asked = ["measure", "--data", tmp_path / "data", "--model", model, "--out", out]
    done = CliRunner().invoke(app, list(map(str, asked)))
    assert done.exit_code == 2
    assert "0 heads among the training scans; 10 are needed" in done.output
    assert not out.exists()


@pytest.mark.slow
def test_the_command_leaves_the_weights_and_all_else_of_the_card(tmp_path) -> None:
    folder = SHARED / "ct-ich"
    if not folder.is_dir():
        pytest.skip("CT-ICH is not here; set IHSNET_TEST_DATA to the folder that holds ct-ich")
    out = tmp_path / "out.safetensors"
    done = CliRunner().invoke(app, ["measure", "--data", str(folder), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_bytes() == checkpoint.SHIPPED.read_bytes()
    assert checkpoint.read_card(out) == checkpoint.read_card(checkpoint.SHIPPED)
    assert "Training scans: 3 of 61 above the bar" in done.output
    assert "Validation scans" not in done.output  # the shipped model kept nobody
