from types import SimpleNamespace

import numpy as np
import pytest

from trainer.evaluation.gallery import Gallery
from worker.munet.inference import Prediction
from worker.munet.preprocessing import Preprocessing

EDH, NONE = (True, False, False, False, False), (False,) * 5


def blood(rows):
    mask = np.zeros((64, 64), np.bool_)
    mask[:rows, :10] = True
    return mask


def patient(number, *slices):
    """Slices of (types, rows of blood)."""
    return [
        SimpleNamespace(patient=number, number=i, types=t, rows=r, positive=any(t))
        for i, (t, r) in slices
    ]


def found(*rows, score=0.9):
    labels = np.stack([blood(r) for r in rows]).astype(np.uint8)
    return Prediction(labels, np.zeros((len(rows), 6), np.float32), {"any": score}, 0.5)


@pytest.fixture
def gallery(monkeypatch):
    monkeypatch.setattr(
        "trainer.evaluation.gallery.read_mask", lambda ct_slice: blood(ct_slice.rows)
    )
    return Gallery(Preprocessing(size=32))


def see(gallery, slices, prediction):
    gallery.see(slices, np.zeros((len(slices), 64, 64), np.float32), prediction)


def test_of_each_type_the_slice_with_most_blood_is_kept(gallery):
    see(gallery, patient(1, (1, (EDH, 4)), (2, (EDH, 9)), (3, (NONE, 0))), found(4, 0, 0))
    see(gallery, patient(2, (1, (EDH, 6))), found(6))
    assert [(e.patient, e.number) for e in gallery.examples.values()] == [(1, 2)]


def test_the_most_wrong_slice_of_each_patient_is_kept_missed_or_false_alike(gallery):
    see(gallery, patient(1, (1, (EDH, 4)), (2, (EDH, 9))), found(4, 7))  # 20 pixels missed
    see(gallery, patient(2, (1, (EDH, 0)), (2, (EDH, 0))), found(1, 5))  # 50 pixels false
    see(gallery, patient(3, (1, (EDH, 4))), found(4))  # right
    assert [(e.patient, e.number, e.wrong_px) for e in gallery.worst] == [(2, 2, 50), (1, 2, 20)]


def test_a_few_worst_are_kept_of_many(gallery):
    for number in range(1, 13):
        see(gallery, patient(number, (1, (EDH, number))), found(0))
    assert [e.patient for e in gallery.worst] == [12, 11, 10, 9, 8, 7, 6, 5]


def test_a_small_bleed_that_is_missed_stands_before_many_wrong_pixels(gallery):
    see(gallery, patient(1, (1, (EDH, 40))), found(0))  # called
    see(gallery, patient(2, (1, (NONE, 0))), found(3))  # a false alarm
    see(gallery, patient(3, (1, (EDH, 1))), found(0, score=0.1))  # missed
    assert [example.patient for example in gallery.worst] == [3, 2, 1]
