from dataclasses import replace

import numpy as np
import pytest

from tests.support.studies import study
from trainer.datasets.people import person_number
from trainer.evaluation.expected import expected, next_hundred
from trainer.experiments.crossval import Judged, Network


def test_of_the_next_hundred_as_many_are_expected_as_of_those_that_were_seen():
    found = expected(50, 100)
    assert found.median == 50
    assert found.ci95[0] < 41 < 59 < found.ci95[1]  # wider than the interval of a known share


def test_few_patients_promise_little_even_where_all_were_right():
    low, high = expected(6, 6).ci95
    assert high == 100
    assert low < 75
    assert expected(60, 60).ci95[0] > 90


def test_an_interval_holds_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for share in rng.beta(0.5, 0.5, 2000):
        low, high = expected(int(rng.binomial(30, share)), 30).ci95
        held += low <= rng.binomial(100, share) <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


def test_sensitivity_and_specificity_count_their_own_kind():
    found = next_hundred(
        [True, True, False, False, False], {"p": [True, False, False, False, True]}
    )
    assert (found["p"]["sensitivity"].right, found["p"]["sensitivity"].cases) == (1, 2)
    assert (found["p"]["specificity"].right, found["p"]["specificity"].cases) == (2, 3)


def test_scans_of_one_person_are_one_case():
    bleeding, first = study(1, ["EDH"], [9], [9], [9], [0.9]), person_number("BHSD", "A")
    scans = [replace(bleeding, patient=first + number) for number in range(20)]
    other = study(2, ["EDH"], [9], [0], [0], [0.1])
    judged = Judged([*scans, other], [], {"balanced": [True] * 20 + [False]})
    found = Network("munet", {0: judged}).expected["balanced"]["sensitivity"]
    assert (found.right, found.cases) == (1, 2)
