import math

import numpy as np
import pytest

from tests.support.studies import study
from trainer.evaluation.clinical import (
    by_volume,
    calibration,
    clinical_figures,
    error_by_chance,
    false_alarms,
    predictive,
    volume_error,
)
from trainer.evaluation.studies import ML_PER_PIXEL

ML = round(1 / ML_PER_PIXEL)  # pixels
SMALL = study(1, ["EDH"], [ML // 2], [0], [0], [0.3])  # 0.5 mL, missed
LARGE = study(2, ["SDH", "SDH"], [20 * ML, 10 * ML], [30 * ML, 5 * ML], [0, 0], [0.9, 0.8])
HEALTHY = [study(3, [None, None], [0, 0], [ML, 0], [0, 0], [0.6, 0.1]),
           study(4, [None, None], [0, 0], [0, 0], [0, 0], [0.1, 0.2])]  # fmt: skip


def test_sensitivity_stands_by_volume_of_the_study():
    found = by_volume([SMALL, LARGE, *HEALTHY])
    assert [(row["from_ml"], row["studies"]) for row in found] == [(0, 1), (1, 0), (5, 0), (25, 1)]
    assert [row["sensitivity"] for row in found][::3] == [0, 1]
    assert math.isnan(found[1]["sensitivity"])


def test_one_study_of_one_found_says_that_it_says_little():
    found = by_volume([SMALL, LARGE, *HEALTHY])
    assert found[3]["ci95"] == pytest.approx([0.025, 1.0])
    assert found[1]["ci95"] == []


def test_predictive_values_reach_as_far_as_the_exact_intervals():
    (row,) = clinical_figures([LARGE, HEALTHY[1]], [0.5])["predictive"]
    assert (row["ppv"], row["npv"]) == (1.0, 1.0)
    assert row["ppv_range"] == pytest.approx([0.025, 1.0])
    assert row["npv_range"] == pytest.approx([0.025, 1.0])


def test_volume_error_is_found_minus_true_over_bleeding_studies():
    error = volume_error([SMALL, LARGE, *HEALTHY])  # -0.5 and +5 mL
    assert error["bias"] == pytest.approx(2.25, abs=0.01)
    assert error["mean_absolute"] == pytest.approx(2.75, abs=0.01)
    spread = 1.96 * 5.5 / math.sqrt(2)
    assert error["limits"] == pytest.approx([2.25 - spread, 2.25 + spread], abs=0.02)


def test_volume_error_without_a_bleed_is_not_measurable():
    assert math.isnan(volume_error(HEALTHY)["bias"])


def test_brier_and_calibration_error_by_hand():
    truth, probability = np.array([False, True, True, True]), np.array([0.2, 0.2, 0.9, 0.9])
    figures = calibration(truth, probability)
    assert figures["brier"] == pytest.approx((0.04 + 0.64 + 0.01 + 0.01) / 4)
    assert figures["ece"] == pytest.approx(0.5 * abs(0.5 - 0.2) + 0.5 * abs(1 - 0.9))
    assert [point["count"] for point in figures["curve"]] == [2, 2]
    assert [point["observed"] for point in figures["curve"]] == [0.5, 1]


def test_true_probabilities_of_few_patients_are_off_by_chance():
    rng = np.random.default_rng(1)
    few, many = rng.random(60), rng.random(6000)
    low, high = error_by_chance(few)
    assert 0 < error_by_chance(many)[1] < low
    truth = rng.random(60) < few
    assert low <= calibration(truth, few)["ece"] <= high
    assert calibration(truth, 1 - few)["ece"] > high


def test_certain_probabilities_are_off_by_nothing_and_nobody_by_nothing_known():
    assert error_by_chance(np.array([0.0, 1.0])) == [0, 0]
    assert error_by_chance(np.array([])) == []


def test_false_alarms_are_counted_per_healthy_study():
    alarms = false_alarms([SMALL, LARGE, *HEALTHY])
    assert (alarms["studies"], alarms["slices_called_per_study"]) == (2, 0.5)
    assert alarms["slices_with_mask_per_study"] == 0.5
    assert alarms["found_ml_per_study"] == pytest.approx(0.5, abs=0.01)


def test_ppv_is_bayes():
    # of 1000: 100 bleed, 90 found; 900 do not, 180 called
    row = predictive(0.9, 0.8, 0.1)
    assert row["ppv"] == pytest.approx(90 / 270)
    assert row["npv"] == pytest.approx(720 / 730)


def test_prevalences_are_the_callers():
    rows = clinical_figures([SMALL, LARGE, *HEALTHY], [0.3])["predictive"]
    assert [row["prevalence"] for row in rows] == [0.3]
