import numpy as np
import pytest

from trainer.experiments.ship import between
from trainer.judging.operating import Seen
from worker.munet.inference import Maps


def seen(logit):
    maps = Maps(
        np.arange(2) * 5.0,
        np.full((2, 6), logit, np.float32),
        np.zeros((2, 8, 8), np.float16),
        np.ones((2, 8, 8), np.uint8),
    )
    return Seen(maps, np.zeros((2, 5), np.bool_), np.zeros((2, 8, 8), np.bool_))


@pytest.mark.parametrize(("weight", "expected"), [(0, 1.0), (0.25, 2.0), (1, 5.0)])
def test_the_masks_evidence_counts_in_proportion_to_its_weight(weight, expected):
    assert between(seen(1.0), seen(5.0), weight).maps.logits == pytest.approx(expected)
