import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.support.studies import study
from trainer.evaluation.metrics import auc
from trainer.evaluation.pooled import clinical, gain, measured, paper

EDH = study(1, ["EDH", "EDH", None], [100, 50, 0], [100, 0, 10], [80, 0, 0], [0.9, 0.4, 0.6])
SDH = study(2, ["SDH"], [30], [30], [30], [0.8])
HEALTHY = study(3, [None, None], [0, 0], [0, 0], [0, 0], [0.1, 0.2])


def test_any_dice_is_pooled_over_every_voxel_of_every_patient():
    assert clinical([EDH, SDH, HEALTHY])["any_dice"] == pytest.approx(2 * 110 / (180 + 140))


def test_any_dice_by_slice_is_the_mean_over_positive_slices():
    assert clinical([EDH, SDH, HEALTHY])["any_dice_by_slice"] == pytest.approx((0.8 + 0 + 1) / 3)


def test_slices_are_ranked_across_patients():
    # positive 0.9, 0.4, 0.8 against 0.6, 0.1, 0.2: eight of nine pairs are in order
    assert clinical([EDH, SDH, HEALTHY])["slice_auc"] == pytest.approx(8 / 9)


def test_studies_are_called_at_their_own_point():
    figures = clinical([EDH, SDH, HEALTHY])
    assert (figures["study_sensitivity"], figures["study_specificity"]) == (1, 1)


def test_dice_of_a_type_is_of_its_own_label():
    figures = paper([EDH, SDH, HEALTHY])
    assert (figures["EDH_dice"], figures["SDH_dice"]) == (pytest.approx(0.4), 1)
    assert figures["mean_dice"] == pytest.approx(0.7)


def test_a_type_that_nobody_has_is_not_measurable():
    assert math.isnan(paper([EDH, HEALTHY])["SAH_dice"])
    assert measured([EDH, HEALTHY], paper)["SAH_dice"].ci95 == ()


def test_the_bootstrap_draws_patients_never_slices():
    sizes: list[int] = []

    def size(drawn):
        sizes.append(len(drawn))
        return {"n": 1.0}

    measured([EDH, SDH, HEALTHY], size)
    assert set(sizes) == {3}
    whole = {id(EDH), id(SDH), id(HEALTHY)}
    measured([EDH, SDH, HEALTHY], lambda drawn: {"n": float({id(s) for s in drawn} <= whole)})


def of_people(kind, first, count):
    """So many people whose scans look like this one."""
    return [replace(kind, patient=number) for number in range(first, first + count)]


def test_an_interval_holds_its_figure():
    dice = measured([*of_people(EDH, 10, 3), *of_people(SDH, 20, 2), HEALTHY], clinical)["any_dice"]
    assert dice.ci95[0] <= dice.value <= dice.ci95[1]


@pytest.mark.parametrize(("bleeding", "healthy"), [(1, 6), (4, 6), (6, 1), (6, 6)])
def test_few_people_of_a_kind_tell_nothing_of_the_next(bleeding, healthy):
    other = replace(SDH, slice_probabilities=SDH.slice_probabilities / 2)
    some = [other, *of_people(EDH, 10, bleeding - 1), *of_people(HEALTHY, 30, healthy)]
    figures = measured(some, clinical)
    assert bool(figures["any_dice_by_slice"].ci95) == (bleeding > 4)
    assert bool(figures["slice_auc"].ci95) == (bleeding > 4)
    assert figures["study_sensitivity"].ci95  # exact


def test_a_type_of_one_patient_has_no_interval():
    figures = measured([EDH, SDH, HEALTHY], paper)
    assert (figures["EDH_dice"].value, figures["EDH_dice"].ci95) == (pytest.approx(0.4), ())


def test_nothing_is_gained_on_oneself():
    gained = gain([EDH, SDH], [EDH, SDH], clinical)["any_dice"]
    assert (gained.value, gained.ci95) == (0, ())  # every draw gives the same


def test_a_gain_between_different_patients_is_refused():
    with pytest.raises(ValueError, match="same patients"):
        gain([EDH], [SDH], clinical)


def test_auc_is_sklearns():
    rng = np.random.default_rng(0)
    truth, score = rng.random(200) < 0.3, rng.integers(0, 9, 200) / 8  # with ties
    assert auc(truth, score) == pytest.approx(roc_auc_score(truth, score))


def with_edh(number, dice):
    pixels = round(100 * dice)
    return study(number, ["EDH"], [100], [100], [pixels], [0.9])


def test_a_mean_over_types_is_never_of_other_types_than_the_whole():
    missed = [study(number, ["IPH"], [100], [100], [0], [0.9]) for number in (11, 12)]
    found = measured([with_edh(1, 0.5), with_edh(2, 0.5), *missed], paper)["mean_dice"]
    assert (found.value, found.ci95) == (0.25, ())  # no draw with both types gives anything else


def test_a_mean_over_types_has_no_interval_where_a_type_is_one_patients():
    everybody = [with_edh(1, 0.5), with_edh(2, 0.7), SDH]
    assert measured(everybody, paper)["EDH_dice"].ci95
    assert measured(everybody, paper)["mean_dice"].ci95 == ()
    gained = gain(everybody, [with_edh(1, 0.4), with_edh(2, 0.1), SDH], paper)
    assert gained["EDH_dice"].ci95
    assert gained["SDH_dice"].ci95 == ()
    assert gained["mean_dice"].ci95 == ()
