import numpy as np
import pytest

from trainer.evaluation.operating import SCORING, balanced, calibrated, points, precise
from trainer.evaluation.seen import Seen
from worker.munet.inference import Maps, calibrate, study_logits


def seen(logit, *, bleeds):
    logits = np.full((3, 6), logit, np.float32)
    masks = np.zeros((3, 64, 64), np.bool_)
    masks[:, 10:20, 10:20] = bleeds
    types = np.zeros((3, 5), np.bool_)
    types[:, 0] = bleeds
    any_map = np.where(masks, 0.9, 0.1).astype(np.float16)
    maps = Maps(np.arange(3) * 5.0, logits, any_map, np.ones((3, 64, 64), np.uint8))
    return Seen(0, maps, types, masks, *np.zeros((2, *masks.shape), np.uint8))


def read(patients, copies=()):
    scoring = calibrated(patients, SCORING, copies)
    return scoring, points(patients, scoring, copies)


def against(read_, logit):
    """Return the score of a study of this logit, and the threshold of the balanced point."""
    scoring, chosen = read_
    logits = study_logits(seen(logit, bleeds=False).maps, scoring)
    return calibrate(logits[None], scoring.study)[0, -1], chosen["balanced"].study_any


@pytest.fixture
def patients():
    return [seen(-3, bleeds=False), seen(5, bleeds=True)] * 3


def test_a_copy_of_a_healthy_head_that_scores_higher_moves_the_threshold_above_it(patients):
    score, limit = against(read(patients), 2)
    assert score >= limit  # half-way between -3 and 5 lies below 2
    score, limit = against(read(patients, [seen(2, bleeds=False).copy()] * 3), 2)
    assert score < limit


def test_a_copy_has_slices_of_its_own_and_chooses_no_masks(patients):
    thin = Maps(np.arange(9) * 1.0, np.full((9, 6), -3, np.float32), *(np.zeros((0, 64, 64)),) * 2)
    alone, copied = (
        read(patients, copies)[1] for copies in ([], [seen(-3, bleeds=False).copy(thin)])
    )
    assert alone["balanced"].mask == copied["balanced"].mask
    assert alone["balanced"].minimum_px == copied["balanced"].minimum_px


def test_no_point_that_is_named_for_sensitivity_calls_less_than_another(patients):
    _, chosen = read(patients)
    limits = [chosen[name].study_any for name in ("high-sensitivity", "balanced", "high-ppv")]
    assert limits == sorted(limits)


@pytest.mark.parametrize("healthy", [10, 19])
def test_a_high_ppv_calls_somebody_though_the_highest_of_few_is_healthy(healthy):
    truth = np.array([False] * healthy + [True] * 10)
    score = np.concatenate(([0.95], np.linspace(0.1, 0.3, healthy - 1), np.linspace(0.6, 0.9, 10)))
    assert precise(truth, score) == balanced(truth, score) < 0.6


def test_a_high_ppv_leaves_95_percent_of_many_alone():
    truth = np.array([False] * 40 + [True] * 10)
    score = np.concatenate(([0.95, 0.7], np.linspace(0.1, 0.5, 38), np.linspace(0.6, 0.9, 10)))
    assert (score[:40] >= precise(truth, score)).sum() == 2


def test_nothing_is_outlined_in_a_study_that_is_not_called(patients):
    assert all(p.study_gate == p.study_any for p in read(patients)[1].values())
