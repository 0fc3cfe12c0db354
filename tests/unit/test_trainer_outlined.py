import math

import numpy as np
import pytest

from tests.support.studies import study
from trainer.evaluation.metrics import MISSED, UNCERTAIN, OutlinedTypes, called_by_area
from trainer.evaluation.outlined import claims, outlined, shown_types
from trainer.experiments.export import MOST, allowed
from trainer.reports.tables import outlined_types

RIGHT = study(1, ["EDH", "EDH", None], [100, 50, 0], [100, 0, 10], [80, 0, 0], [0.9, 0.4, 0.6])
SDH = study(2, ["SDH"], [30], [30], [30], [0.8])


def test_a_slice_is_what_most_of_its_outlined_blood_is_called():
    assert called_by_area(np.array([[5, 0, 9, 0, 0, 14]])).tolist() == [2]


def test_outlined_blood_of_no_type_is_uncertain():
    assert called_by_area(np.array([[5, 0, 0, 0, 0, 14]])).tolist() == [UNCERTAIN]


def test_a_slice_without_an_outline_is_missed():
    assert called_by_area(np.zeros((1, 6), int)).tolist() == [MISSED]


def test_a_miss_counts_as_an_error_of_its_type():
    calls = shown_types([RIGHT, SDH])
    assert calls.accuracy == pytest.approx(2 / 3)
    assert calls.balanced_accuracy == pytest.approx((1 / 2 + 1) / 2)
    assert calls.confusion[0].tolist() == [1, 0, 0, 0, 0, 0, 1]


def test_a_type_that_nobody_has_is_not_measurable():
    assert math.isnan(shown_types([RIGHT]).recalls[4])


def test_the_report_counts_what_has_no_answer():
    figures = outlined([RIGHT, SDH])
    assert (figures["missed"], figures["uncertain"]) == (1, 0)


@pytest.mark.parametrize(
    ("called", "patients", "claim"),
    [
        ([0] * 10, 10, "REPORTED"),
        ([0] * 10, 9, "NOT_TOLD_APART"),
        ([0] * 4 + [MISSED] * 6, 10, "HINTED"),
        ([0] * 3 + [UNCERTAIN] * 7, 10, "NOT_TOLD_APART"),
    ],
)
def test_a_claim_follows_from_slices_and_patients(called, patients, claim):
    calls = OutlinedTypes(np.zeros(10, np.intp), np.array(called))
    assert claims(calls, [patients] * 5)["EDH"] == claim


@pytest.mark.parametrize(
    ("shown", "claim"),
    [("REPORTED", "HINTED"), ("HINTED", "HINTED"), ("NOT_TOLD_APART", "NOT_TOLD_APART")],
)
def test_an_exported_card_claims_what_both_its_patients_and_cross_validation_show(shown, claim):
    claimed = allowed(dict.fromkeys(MOST, shown))
    assert (claimed["EDH"], claimed["SAH"]) == (claim, "NOT_TOLD_APART")


def test_a_type_that_others_are_called_is_not_reported():
    truth, called = np.array([0] * 10 + [1] * 10), np.zeros(20, np.intp)
    assert claims(OutlinedTypes(truth, called), [10] * 5)["EDH"] == "HINTED"


def test_the_table_shows_every_answer():
    table = outlined_types(outlined([RIGHT, SDH]), "title")
    assert table.rows[0] == ("EDH", "1", "0", "0", "0", "0", "0", "1", "0.50", "not told apart")
