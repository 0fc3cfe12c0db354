import numpy as np
import pytest

from trainer.evaluation.operating import Seen
from trainer.experiments.reread import chosen
from worker.munet.card import Card, OperatingPoint, Scoring
from worker.munet.inference import Maps, calibrate, study_logits
from worker.munet.network import NetworkConfig
from worker.munet.preprocessing import Preprocessing

pytestmark = pytest.mark.slow  # trains


def seen(logit, *, bleeds):
    logits = np.full((3, 6), logit, np.float32)
    masks = np.zeros((3, 64, 64), np.bool_)
    masks[:, 10:20, 10:20] = bleeds
    types = np.zeros((3, 5), np.bool_)
    types[:, 0] = bleeds
    any_map = np.where(masks, 0.9, 0.1).astype(np.float16)
    maps = Maps(np.arange(3) * 5.0, logits, any_map, np.ones((3, 64, 64), np.uint8))
    return Seen(maps, types, masks)


@pytest.fixture
def card():
    points = {"balanced": OperatingPoint()}
    network = NetworkConfig(width=4)
    return Card("tiny", "", network, Preprocessing(), Scoring(), points, "balanced")


def threshold(made, logit):
    maps = seen(logit, bleeds=False).maps
    score = calibrate(study_logits(maps, made.scoring)[None], made.scoring.study)[0, -1]
    return score, made.operating_points["balanced"].study_any


def test_a_copy_of_a_healthy_head_that_scores_higher_moves_the_threshold_above_it(card):
    patients = [seen(-3, bleeds=False), seen(5, bleeds=True)] * 3
    alone = chosen(card, patients, [])
    copied = chosen(card, patients, [seen(2, bleeds=False)] * 3)
    score, limit = threshold(alone, 2)
    assert score >= limit  # half-way between -3 and 5 lies below 2
    score, limit = threshold(copied, 2)
    assert score < limit


def test_copies_choose_no_masks(card):
    patients = [seen(-3, bleeds=False), seen(5, bleeds=True)] * 3
    wrong = [seen(-3, bleeds=False), seen(5, bleeds=True)]
    for one in wrong:
        one.maps.any_map[:] = 0.5
    alone, copied = (chosen(card, patients, copies) for copies in ([], wrong))
    points = [made.operating_points["balanced"] for made in (alone, copied)]
    assert points[0].mask == points[1].mask
    assert points[0].minimum_px == points[1].minimum_px
