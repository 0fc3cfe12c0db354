import numpy as np
import pytest

from trainer.evaluation.blobs import blobs, together
from trainer.evaluation.metrics import PixelCounts
from worker.munet.card import OperatingPoint
from worker.munet.labels import components


@pytest.fixture
def maps():
    """One slice with a large faint and a small certain blob, one empty, one missed."""
    made = np.zeros((3, 16, 16), np.float16)
    made[0, 1:7, 1:7] = 0.6
    made[0, 10:12, 10:12] = 0.9
    return made


@pytest.fixture
def masks():
    made = np.zeros((3, 16, 16), np.bool_)
    made[0, 1:5, 1:7] = True
    made[2, 3:5, 3:5] = True
    return made


def test_each_component_has_its_size_its_peak_and_its_blood(maps, masks):
    found = blobs(maps, masks, 0.5)
    assert found.index.tolist() == [0, 0]
    assert found.size.tolist() == [36, 4]
    assert found.peak.tolist() == pytest.approx([0.6, 0.9], abs=1e-3)
    assert found.both.tolist() == [24, 0]
    assert found.truth.tolist() == [24, 0, 4]


def test_dice_is_pooled_and_by_bloody_slice(maps, masks):
    counts = blobs(maps, masks, 0.5).sifted(OperatingPoint(), np.ones(3, np.bool_))
    assert counts.dice == pytest.approx(2 * 24 / (28 + 40))
    assert counts.with_blood.mean_dice == pytest.approx((2 * 24 / (24 + 40) + 0) / 2)


@pytest.mark.parametrize("point", [OperatingPoint(seed=0.8), OperatingPoint(minimum_px=8)])
def test_it_sifts_as_the_worker_does(maps, masks, point):
    shown = np.stack([components(scores.astype(np.float32), point) for scores in maps])
    expected = PixelCounts.of(masks, shown > 0)
    sifted = blobs(maps, masks, point.mask).sifted(point, np.ones(3, np.bool_))
    assert sifted.found.tolist() == expected.found.tolist()
    assert sifted.both.tolist() == expected.both.tolist()


def test_a_slice_that_is_not_shown_has_no_mask(maps, masks):
    counts = blobs(maps, masks, 0.5).sifted(OperatingPoint(), np.zeros(3, np.bool_))
    assert counts.found.tolist() == [0, 0, 0]


def test_patients_stand_one_after_the_other(maps, masks):
    found = together([blobs(maps, masks, 0.5)] * 2)
    assert found.index.tolist() == [0, 0, 3, 3]
    assert len(found.truth) == 6
