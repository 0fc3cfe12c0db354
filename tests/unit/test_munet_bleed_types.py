"""One type for each bleed: what is measured of it, how it is told, and when it is not said."""

import json

import numpy as np
import pytest

from schema.hemorrhage_subtypes import KEYS, Claim
from worker.analysis import UNCERTAIN, without_uncertain
from worker.munet.bleed_types import BleedTypes
from worker.munet.bleeds import SHAPE, Head, measure
from worker.munet.card import CLASSES, Card, OperatingPoint, Scoring
from worker.munet.inference import Maps, outlined, read, teller
from worker.munet.network import NetworkConfig
from worker.munet.preprocessing import Preprocessing, Projection
from worker.munet.resize import Box

SIDE, SLABS = 128, 6
BRAIN, FRESH = 120, 190
MEASURES = {name: index for index, name in enumerate(SHAPE)}


def head(types=1):
    """A round skull with brain, as the network's brain window shows it."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    radius = np.hypot(x, y)
    picture = np.where(radius < 50, BRAIN, 0) + np.where((radius >= 50) & (radius < 56), 255, 0)
    pictures = np.repeat(picture[None].astype(np.uint8), SLABS, axis=0)
    kinds = np.full(pictures.shape, types, np.uint8)
    return Head(pictures, np.arange(SLABS) * 5.0, kinds)


def ball(row, column, radius=6, slabs=slice(2, 4)):
    y, x = np.mgrid[:SIDE, :SIDE]
    kept = np.zeros((SLABS, SIDE, SIDE), bool)
    kept[slabs] = np.hypot(x - column, y - row) <= radius
    return kept


def votes_alone(least=0.5, **other):
    values = {
        "votes": 1.0,
        "intercept": (0.0,) * 5,
        "weights": ((0.0,) * len(SHAPE),) * 5,
        "centre": (0.0,) * len(SHAPE),
        "spread": (1.0,) * len(SHAPE),
        "least": least,
    }
    return BleedTypes(**(values | other))


def test_depth_contact_and_distance_from_the_middle_tell_where_a_bleed_lies():
    deep = measure(ball(64, 64), head()).shape[0]
    outer = measure(ball(64, 64 + 44), head()).shape[0]
    assert deep[MEASURES["contact"]] == 0 < outer[MEASURES["contact"]]
    assert deep[MEASURES["log depth"]] > outer[MEASURES["log depth"]]
    assert outer[MEASURES["lateral"]] - deep[MEASURES["lateral"]] > 50


def test_a_lens_is_more_slender_than_a_ball_and_as_solid():
    lens = np.zeros((SLABS, SIDE, SIDE), bool)
    lens[2, 50:80, 60:64] = True
    shape, round_shape = measure(lens, head()).shape[0], measure(ball(64, 64), head()).shape[0]
    name = MEASURES["log slenderness"]
    assert shape[name] > round_shape[name] + 1
    assert shape[MEASURES["solidity"]] > 0.7


def test_volume_and_slices_are_those_of_all_its_slabs():
    bleeds = measure(ball(64, 64, 6, slice(1, 5)), head())
    pixel_mm = 200 / SIDE
    ml = bleeds.area_px.sum() * pixel_mm**2 * 5 / 1000
    assert bleeds.shape[0, MEASURES["log volume"]] == pytest.approx(np.log(ml))
    assert bleeds.shape[0, MEASURES["log slices"]] == pytest.approx(np.log(4))
    assert (bleeds.area_px[0] > 0).tolist() == [False, True, True, True, True, False]


def test_two_bleeds_of_one_head_are_told_apart_and_each_keeps_one_type():
    shown = head()
    shown.types[:, :, :64], shown.types[:, :, 64:] = 2, 5
    kept = ball(64, 40) | ball(64, 90)
    labels = votes_alone().label(kept, shown)
    assert set(labels[kept & (np.arange(SIDE) < 64)]) == {2}
    assert set(labels[kept & (np.arange(SIDE) >= 64)]) == {5}


def test_the_type_of_most_of_a_bleed_is_all_of_its():
    shown = head()
    shown.types[2] = 3  # one slab of four speaks for another
    kept = ball(64, 64, 6, slice(1, 5))
    assert set(votes_alone(0.0).label(kept, shown)[kept]) == {1}


def test_below_the_least_probability_a_type_is_uncertain():
    shown = head()
    shown.types[3] = 2  # half and half
    kept = ball(64, 64)
    assert set(votes_alone(0.6).label(kept, shown)[kept]) == {UNCERTAIN}
    assert set(votes_alone(0.0).label(kept, shown)[kept]) <= {1, 2}


def test_probabilities_of_a_bleed_sum_to_one_and_shape_moves_them():
    bleeds = measure(ball(64, 64), head())
    weights = np.zeros((5, len(SHAPE)))
    weights[1, MEASURES["log depth"]] = 5.0  # what lies deep is of the second type
    flat = votes_alone().probabilities(bleeds)
    moved = votes_alone(weights=tuple(map(tuple, weights))).probabilities(bleeds)
    assert flat.sum(axis=1) == pytest.approx(1)
    assert flat.argmax() == 0
    assert moved.argmax() == 1


def test_nothing_kept_is_no_bleed():
    kept = np.zeros((SLABS, SIDE, SIDE), bool)
    assert votes_alone().label(kept, head(4)).tolist() == head(4).types.tolist()
    assert votes_alone().told(measure(kept, head())).tolist() == []


def test_a_picture_without_bone_has_no_depth():
    dark = head()._replace(pictures=np.zeros((SLABS, SIDE, SIDE), np.uint8))
    shape = measure(ball(64, 64), dark).shape[0]
    assert np.isfinite(shape).all()
    assert shape[MEASURES["log depth"]] == shape[MEASURES["contact"]] == 0


def test_a_stack_from_the_vertex_down_measures_the_same_as_one_from_below():
    kept = ball(64, 90, 6, slice(1, 3)) | ball(64, 80, 6, slice(2, 4))
    shown = head()
    upside_down = Head(shown.pictures[::-1], shown.slice_position_mm, shown.types[::-1])
    same = measure(kept[::-1], upside_down).shape
    assert measure(kept, shown).shape == pytest.approx(same)


def test_a_bleed_that_fills_the_whole_picture_is_measured():
    kept = np.ones((SLABS, SIDE, SIDE), bool)
    assert np.isfinite(measure(kept, head()).shape).all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spread", (0.0,) * len(SHAPE)),
        ("spread", (1.0,)),
        ("weights", ((0.0,) * len(SHAPE),) * 4),
        ("least", 1.5),
        ("intercept", (0.0,) * 4),
        ("intercept", (float("nan"),) * 5),
        ("votes", float("inf")),
    ],
)
def test_numbers_that_fit_no_bleed_are_refused(field, value):
    with pytest.raises(ValueError, match=r"weights|spreads"):
        votes_alone(**{field: value})


def card(claims, types):
    return Card(
        "tiny",
        "",
        NetworkConfig(width=4),
        Preprocessing(size=64),
        Scoring(),
        {"balanced": OperatingPoint()},
        "balanced",
        claims=claims,
        bleed_types=types,
    )


def test_a_card_holds_how_types_are_told_and_gives_it_back():
    written = card({"EDH": "HINTED"}, votes_alone())
    assert Card.from_json(json.dumps(written.to_json())).bleed_types == votes_alone()
    assert card({}, None).bleed_types is None


@pytest.mark.parametrize("claims", [dict.fromkeys(CLASSES, "HINTED"), {"EDH": "REPORTED"}])
def test_where_uncertain_blood_would_make_a_reported_type_absent_a_card_may_not_doubt(claims):
    with pytest.raises(ValueError, match="may say uncertain"):
        card(claims, votes_alone(0.5))
    assert card(claims, votes_alone(0.0)).bleed_types.least == 0


def test_a_card_with_a_wrong_number_names_it():
    values = card({}, votes_alone()).to_json()
    values["bleed_types"]["least"] = "often"
    with pytest.raises(ValueError, match=r"bleed_types\.least"):
        Card.from_json(json.dumps(values))


def test_a_card_without_it_has_no_such_key_so_that_an_older_worker_reads_it():
    assert "bleed_types" not in card({}, None).to_json()


def maps():
    any_map = np.where(ball(64, 64), 0.9, 0.01).astype(np.float16)
    logits = np.full((SLABS, 6), 4.0, np.float32)
    return Maps(np.arange(SLABS) * 5.0, logits, any_map, head(2).types)


def test_a_prediction_labels_whole_bleeds_and_may_leave_them_uncertain():
    back = Projection(Box(0, 0, SIDE), np.arange(SLABS), (SIDE, SIDE))
    for least, label in ((0.5, 2), (0.99, 6)):
        tell = teller(votes_alone(least), head().pictures)
        labels = read(maps(), Scoring(), OperatingPoint(), back, tell).labels
        assert set(labels[labels > 0]) == {label}
    assert teller(None, head().pictures) is None


def test_what_is_outlined_keeps_to_the_gates():
    assert outlined(maps(), Scoring(), OperatingPoint()).sum() == ball(64, 64).sum()
    assert not outlined(maps(), Scoring(), OperatingPoint(study_gate=0.99)).any()
    assert not outlined(maps(), Scoring(), OperatingPoint(slice_gate=0.99)).any()


def test_blood_of_an_uncertain_type_counts_in_the_total_and_is_named_nothing():
    claims = dict.fromkeys(KEYS, Claim.REPORTED) | {"SAH": Claim.NOT_TOLD_APART}
    labels = np.array([0, 1, UNCERTAIN], np.uint8)
    assert without_uncertain(labels, claims).tolist() == [0, 1, KEYS.index("SAH") + 1]


def test_where_every_type_is_claimed_an_uncertain_label_stays_to_be_refused():
    labels = np.array([0, UNCERTAIN], np.uint8)
    claims = dict.fromkeys(KEYS, Claim.REPORTED)
    assert without_uncertain(labels, claims).tolist() == labels.tolist()
