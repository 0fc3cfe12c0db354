"""How types of whole bleeds are learned, on heads that a few lines can draw."""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from trainer.datasets.people import person_number
from trainer.evaluation.bleed_types import fit, known, learned, outlines
from trainer.evaluation.metrics import MISSED, UNCERTAIN
from trainer.evaluation.seen import Seen
from worker.munet.bleed_types import BleedTypes
from worker.munet.card import OperatingPoint, Scoring
from worker.munet.inference import Maps

SIDE, SLABS = 96, 4
EDH, IPH = 0, 1
NUMBERS = count(1)  # everybody is somebody else


def patient(kind, voted=3, shown=True):
    """A head whose bleed lies at the bone (EDH) or deep (IPH); its pixels vote for another."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    grey = np.where(radius < 38, 120, 0) + np.where((radius >= 38) & (radius < 44), 255, 0)
    middle = 33 if kind == EDH else 4
    mask = np.zeros((SLABS, SIDE, SIDE), bool)
    mask[1:3] = np.hypot(x - middle, y) <= 5
    types = np.zeros((SLABS, 5), bool)
    types[1:3, kind] = True
    any_map = np.where(mask & shown, 0.9, 0.01).astype(np.float16)
    maps = Maps(
        np.arange(SLABS) * 5.0,
        np.full((SLABS, 6), 3.0, np.float32),
        any_map,
        np.full(mask.shape, voted, np.uint8),
    )
    pictures = np.repeat(grey[None].astype(np.uint8), SLABS, axis=0)
    return Seen(next(NUMBERS), maps, types, mask, (mask * (kind + 1)).astype(np.uint8), pictures)


def labelled(kind, types):
    """A patient's head with other types, by slice; of several nobody has told which is where."""
    seen, kinds = patient(kind), np.zeros((SLABS, 5), bool)
    for number, present in types.items():
        kinds[number, list(present)] = True
    alone = np.where(kinds.sum(axis=1) == 1, kinds.argmax(axis=1) + 1, 0)
    told = seen.masks * alone[:, None, None]
    return replace(seen, types=kinds, kinds=told.astype(np.uint8))


def healthy():
    seen = patient(EDH, shown=False)
    nothing = {name: np.zeros_like(getattr(seen, name)) for name in ("types", "masks", "kinds")}
    return replace(seen, **nothing)


def measured(*patients):
    return [outlines(seen, Scoring(), OperatingPoint()) for seen in patients]


MANY = [patient(kind) for kind in (EDH, IPH) * 4]


def test_place_tells_types_that_pixels_do_not():
    types = learned([*MANY, healthy()], Scoring(), OperatingPoint())
    assert isinstance(types, BleedTypes)
    for kind, seen in ((EDH, patient(EDH)), (IPH, patient(IPH))):
        calls = measured(seen)[0].calls(types)
        assert calls.called.tolist() == [kind, kind]


def test_a_stronger_pull_stays_nearer_to_the_votes_of_pixels():
    weak, strong = (fit(measured(*MANY), pull, 0.0) for pull in (0.3, 1e6))
    assert np.abs(weak.weights).max() > 0.1 > np.abs(strong.weights).max()
    assert strong.votes == pytest.approx(1, abs=1e-3)


def test_what_is_missed_is_a_miss_and_what_is_not_said_is_uncertain():
    types = fit(measured(*MANY), 1.0, 0.0)
    missed = measured(patient(EDH, shown=False))[0]
    assert missed.calls(types).called.tolist() == [MISSED, MISSED]
    silent = BleedTypes(
        types.votes, types.intercept, types.weights, types.centre, types.spread, 1.0
    )
    assert set(measured(patient(EDH))[0].calls(silent).called.tolist()) == {UNCERTAIN}


def test_a_bleed_of_two_types_teaches_of_both_by_their_pixels_where_they_are_told():
    where, kinds = np.zeros((2, 4, 4), np.int32), np.zeros((2, 4, 4), np.uint8)
    where[:, 1:3] = 1
    kinds[0, 1], kinds[0, 2, 0] = EDH + 1, IPH + 1  # the rest of this slice's is told by nobody
    assert known(where, kinds)[:, [EDH, IPH]].tolist() == [[0.8, 0.2]]


def test_one_type_or_no_patient_teaches_nothing():
    assert learned([patient(EDH), patient(EDH)], Scoring(), OperatingPoint()) is None
    assert learned([healthy()], Scoring(), OperatingPoint()) is None
    assert learned([], Scoring(), OperatingPoint()) is None


def test_too_few_patients_who_show_a_type_alone_teach_nothing():
    mixed = labelled(EDH, {1: (EDH, IPH), 2: (EDH, IPH)})
    several = labelled(EDH, {1: (IPH,), 2: (EDH,)})
    for few in ([several], [several, mixed], [patient(EDH), patient(IPH), mixed, mixed, mixed]):
        assert learned(few, Scoring(), OperatingPoint()) is None


def test_scans_of_one_person_are_one_who_teaches_and_are_judged_by_others():
    ann, ben = person_number("Ours", "ann"), person_number("Ours", "ben")
    of_two = [replace(scan, patient=(ann, ben)[n % 2] + n // 2) for n, scan in enumerate(MANY)]
    assert learned(MANY, Scoring(), OperatingPoint())
    assert learned(of_two, Scoring(), OperatingPoint()) is None


def test_slices_of_several_types_teach_and_are_judged_on_nothing():
    found = measured(labelled(EDH, {1: (EDH, IPH), 2: (EDH,)}))[0]
    assert found.shares.tolist() == pytest.approx(np.array([[1, 0, 0, 0, 0.0]]))
    assert len(found.calls(fit(measured(*MANY), 1.0, 0.0)).called) == 1


def test_a_patient_with_more_slices_of_a_type_weighs_as_their_root():
    found = measured(patient(EDH))[0]
    assert found.shares[0, EDH] == pytest.approx(np.sqrt(2))


def test_the_same_patients_in_one_order_teach_the_same():
    assert learned(MANY, Scoring(), OperatingPoint()) == learned(MANY, Scoring(), OperatingPoint())
