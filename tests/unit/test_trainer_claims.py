"""What a shipped card claims is what the answers that its model gives were counted by."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from trainer.experiments import ship, unseen
from trainer.experiments.unseen import Reading
from worker.munet.bleed_types import BleedTypes
from worker.munet.bleeds import KINDS, SHAPE
from worker.munet.card import CLASSES
from worker.munet.preprocessing import Preprocessing

READING = Reading(Preprocessing(clip_limit=0.0))
HINTED = dict.fromkeys(CLASSES, "NOT_TOLD_APART") | {"EDH": "HINTED"}


@pytest.fixture(params=[True])
def reported(request):
    """Whether EDH comes out as reported as long as a type may be uncertain."""
    return request.param


@pytest.fixture
def judged(monkeypatch, reported):
    """Readings by which everybody was judged."""
    readings = []

    def judge(_unseen, _release, reading):
        readings.append(reading)
        return {}

    def count(_studies):
        is_reported = reported and not readings[-1].certain
        return {"claims": HINTED | ({"EDH": "REPORTED"} if is_reported else {})}

    monkeypatch.setattr(ship, "judged", judge)
    monkeypatch.setattr(ship, "outlined", count)
    return readings


def test_a_type_that_would_be_reported_beside_uncertain_ones_is_counted_again(judged):
    reading, _, claims = ship.as_claimed({}, None, READING)
    assert [one.certain for one in judged] == [False, True]
    assert reading.certain
    assert claims == HINTED


@pytest.mark.parametrize("reported", [False], indirect=True)
def test_types_that_are_hinted_at_are_counted_once(judged):
    reading, _, claims = ship.as_claimed({}, None, READING)
    assert [one.certain for one in judged] == [False]
    assert not reading.certain
    assert claims == HINTED


@pytest.mark.parametrize("certain", [False, True])
def test_every_bleed_has_a_type_where_that_is_asked_for(certain, monkeypatch):
    zeros, ones = (0.0,) * len(SHAPE), (1.0,) * len(SHAPE)
    types = BleedTypes(1.0, (0.0,) * KINDS, (zeros,) * KINDS, zeros, ones, 0.5)
    monkeypatch.setattr(unseen, "calibrated", lambda *_: unseen.SCORING)
    monkeypatch.setattr(unseen, "points", lambda *_: {"balanced": None})
    monkeypatch.setattr(unseen, "learned", lambda *_: types)
    choice = unseen.chosen([], replace(READING, certain=certain))
    bleeds = SimpleNamespace(shape=np.zeros((1, len(SHAPE))), votes=np.full((1, KINDS), 0.2))
    assert (choice.types.told(bleeds)[0] <= KINDS) == certain
