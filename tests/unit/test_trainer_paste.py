import cv2
import numpy as np
import pytest

from trainer.datasets.cache import Prepared
from trainer.training.batches import Bleeds, load_batch
from trainer.training.paste import Scene, donors, inside, paste, placement, skull

EDH = np.array([True, False, False, False, False])


def head(centre=(64, 64), axes=(40, 50), tissue=100):
    picture = np.zeros((128, 128), np.uint8)
    cv2.ellipse(picture, centre, axes, 0, 0, 360, 255, -1)
    cv2.ellipse(picture, centre, (axes[0] - 6, axes[1] - 6), 0, 0, 360, tissue, -1)
    return picture


def scene(picture, blood=None, types=EDH):
    mask = np.zeros_like(picture)
    if blood is not None:
        mask[blood] = 255
        picture = np.where((mask > 0) & (picture < 250), np.uint8(180), picture)
    return Scene(np.stack([picture] * 3), np.stack([mask] * 3), types)


DONOR = scene(head(), np.s_[50:70, 40:60])
HEALTHY = scene(head((60, 70), (36, 48)), types=np.zeros(5, np.bool_))


def test_inside_is_what_the_skull_closes_in():
    room = inside(head())
    assert room[64, 64]
    assert not room[0, 0]
    assert not room[64, 26]  # bone


def test_an_open_skull_has_no_inside():
    picture = head()
    picture[64:] = 0
    assert not inside(picture).any()


def test_a_donors_skull_is_laid_onto_the_recipients():
    matrix = placement(DONOR.pictures[1], HEALTHY.pictures[1], np.random.default_rng(0))
    donor, healthy = skull(DONOR.pictures[1]), skull(HEALTHY.pictures[1])
    assert donor is not None
    assert healthy is not None
    (centre, _), (target, _) = donor, healthy
    assert matrix @ [*centre, 1] == pytest.approx(target, abs=8)


def test_pasted_blood_is_where_the_new_mask_says():
    made = paste(DONOR, HEALTHY, np.random.default_rng(0))
    changed = made.pictures[1].astype(int) - HEALTHY.pictures[1]
    assert changed[made.masks[1] > 0].min() > 20
    far = cv2.dilate(made.masks[1], np.ones((5, 5))) == 0
    assert np.abs(changed[far]).max() == 0
    assert made.types.tolist() == EDH.tolist()


def test_blood_stays_inside_the_skull():
    beside_the_skull = scene(head(), np.s_[30:100, 20:45])
    for seed in range(5):
        made = paste(beside_the_skull, HEALTHY, np.random.default_rng(seed))
        assert inside(HEALTHY.pictures[1])[made.masks[1] > 0].all()


def test_the_recipients_own_arrays_stay_as_they_are():
    before = HEALTHY.pictures.copy()
    paste(DONOR, HEALTHY, np.random.default_rng(0))
    assert np.array_equal(HEALTHY.pictures, before)


def test_a_slice_without_a_skull_takes_no_blood():
    empty = scene(np.zeros((128, 128), np.uint8))
    assert paste(DONOR, empty, np.random.default_rng(0)) is None


@pytest.fixture
def prepared():
    """A donor, a healthy slice, and one with two types."""
    types = np.array([EDH, np.zeros(5), [True, True, False, False, False]], np.bool_)
    scenes = [DONOR, HEALTHY, DONOR]
    return Prepared(
        np.array([1, 2, 3]),
        np.array([1, 1, 1]),
        types,
        np.stack([s.pictures[1] for s in scenes]),
        np.stack([s.masks[1] > 0 for s in scenes]),
        np.repeat(np.arange(3)[:, None], 3, axis=1),
    )


def test_only_slices_of_one_type_give_blood(prepared):
    assert donors(prepared, np.arange(3)).tolist() == [0]


def test_healthy_slices_of_a_batch_get_blood_and_positive_ones_stay(prepared):
    bleeds = Bleeds(prepared, np.array([0, 1]), 1.0, np.random.default_rng(0))
    batch = load_batch(prepared, np.array([0, 1]), 128, bleeds)
    assert batch.genuine.tolist() == [True, False]
    assert batch.target.types.tolist() == [[1, 0, 0, 0, 0]] * 2
    assert batch.target.mask[1].sum() > 100
    assert not prepared.masks[1].any()
