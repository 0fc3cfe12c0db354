import numpy as np
import pytest

from trainer.evaluation.perturb import (
    CHANGES,
    Answer,
    Head,
    Outcomes,
    flips,
    moving,
    outcomes,
    overlapping,
    rotated,
    thickness,
)
from trainer.reports.robustness import section
from worker.munet.card import LABELS
from worker.munet.inference import Prediction


@pytest.fixture
def head():
    hu = np.random.default_rng(0).normal(30, 10, (8, 40, 40)).astype(np.float32)
    return Head(hu, np.arange(8) * 5.0)


def says(probability):
    """Stand in for a network that reads one number from a series."""

    def predict(hu, slice_position_mm, _):
        found = dict.fromkeys(LABELS, probability(hu, slice_position_mm))
        return Prediction(np.zeros(0), np.zeros(0), found, 0.5)

    return predict


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_makes_a_series_with_rising_positions(head, name):
    made = CHANGES[name](head)
    assert len(made.hu) == len(made.slice_position_mm)
    assert (np.diff(made.slice_position_mm) > 0).all()
    assert made.hu.shape[1:] == (40, 40)
    assert np.isfinite(made.hu).all()
    changed = made.hu.shape != head.hu.shape or not np.array_equal(made.hu, head.hu)
    assert changed


def test_thin_slices_cover_what_the_thick_ones_did(head):
    made = thickness(1.25)(head)
    assert len(made.hu) == 32
    assert made.slice_position_mm[0] - 0.625 == head.slice_position_mm[0] - 2.5
    assert made.slice_position_mm[-1] + 0.625 == head.slice_position_mm[-1] + 2.5


def test_overlapping_slices_lie_between_their_neighbours(head):
    made = overlapping(head)
    assert np.allclose(made.hu[1], (head.hu[0] + head.hu[1]) / 2, atol=1e-4)
    assert np.array_equal(made.hu[::2], head.hu)


def test_a_rotation_brings_in_air(head):
    assert rotated(45)(head).hu[:, 0, 0].tolist() == [-1000.0] * 8


def test_a_head_that_moves_is_smeared_along_its_rows_alone():
    hu = np.full((2, 40, 40), 30, np.float32)
    hu[:, :, 20] = 1000
    smeared = moving(3)(Head(hu, np.arange(2) * 5.0)).hu[0]
    assert smeared[20, 20] < 500
    assert (smeared[20, 15:26] > 30).sum() >= 3
    assert np.ptp(smeared[:, 18]) < 1e-3


def test_a_network_that_counts_slices_is_caught(head):
    asked = outcomes(says(lambda hu, _: 0.9 if len(hu) > 20 else 0.1), head, 7, bleeds=False)
    assert asked.turned("1.25 mm slices")
    assert not asked.turned("5 HU more")


def test_outcomes_that_turn_are_counted_by_their_direction():
    quiet, loud = Answer(0.1, called=False), Answer(0.8, called=True)
    asked = [
        Outcomes(1, False, quiet, {"x": loud}),
        Outcomes(2, True, loud, {"x": quiet}),
        Outcomes(3, True, loud, {"x": loud}),
    ]
    assert list(flips(asked)) == [("x", 1, 1, pytest.approx(0.7))]
    assert section(asked).tables[0].rows == (("x", "2", "", "1", "1", "0.70"),)


@pytest.mark.parametrize(("name", "allowed"), [("2.5 mm slices", "1"), ("sharp kernel", "3")])
def test_the_table_says_how_many_may_turn(name, allowed):
    one = Answer(0.1, called=False)
    asked = [Outcomes(number, False, one, {name: one}) for number in range(35)]
    assert section(asked).tables[0].rows[0][:3] == (name, "0", allowed)


@pytest.mark.parametrize("pixel_mm", [0.33, 0.49])
def test_a_tilt_and_a_slide_are_of_millimetres(pixel_mm):
    hu = np.full((11, 200, 200), -1000, np.float32)
    hu[:, 100, 100] = 1e6
    head = Head(hu, np.arange(11) * 5.0, spacing_mm=(pixel_mm, pixel_mm))
    rows = CHANGES["gantry tilted by 15 degrees"](head).hu.max(axis=2).argmax(axis=1)
    slope = (rows[-1] - rows[0]) * pixel_mm / 50
    assert np.rad2deg(np.arctan(slope)) == pytest.approx(15, abs=1)
    (lit,) = np.nonzero(CHANGES["moving by 3 mm"](head).hu[0].max(axis=0) > 0)
    assert (lit[-1] - lit[0]) * pixel_mm == pytest.approx(3, abs=2 * pixel_mm)


@pytest.mark.parametrize(("step_mm", "laid_mm"), [(5.0, 10.0), (1.25, 10.0), (7.0, 7.0)])
def test_slices_are_averaged_to_about_10_mm_whatever_they_were(step_mm, laid_mm):
    head = Head(np.zeros((24, 8, 8), np.float32), np.arange(24) * step_mm)
    assert np.diff(CHANGES["10 mm slices"](head).slice_position_mm)[0] == laid_mm


def test_the_other_order_holds_the_same_slices_from_the_other_end(head):
    made = CHANGES["slices in the other order"](head)
    assert np.array_equal(made.hu, head.hu[::-1])
    assert made.slice_position_mm.tolist() == (-head.slice_position_mm[::-1]).tolist()
