from dataclasses import replace

import cv2
import numpy as np
import pytest

from trainer.config import ConfigError, Smote
from trainer.datasets.cache import Prepared
from trainer.reports.contact import contact_sheet, table_4
from trainer.training.smote import SYNTHETIC, oversample


@pytest.fixture
def prepared():
    """Six EDH slices of training patients, one mixed, one healthy, and one EDH held out."""
    rng = np.random.default_rng(0)
    types = np.zeros((9, 5), np.bool_)
    types[:7, 0] = types[8, 0] = types[6, 1] = True
    pictures = rng.integers(0, 256, (9, 16, 16)).astype(np.uint8)
    masks = np.zeros((9, 16, 16), np.bool_)
    for row in np.flatnonzero(types.any(axis=1)):
        masks[row, 4 : 8 + row, 4:10] = True
    layout = np.repeat(np.arange(9)[:, None], 3, axis=1)
    patients = np.array([1, 1, 2, 2, 3, 3, 3, 3, 9])
    return Prepared(patients, np.arange(9), types, pictures, masks, layout)


TRAIN = np.arange(8)


def test_a_type_grows_to_its_target(prepared):
    grown, rows = oversample(prepared, TRAIN, Smote(EDH=20), seed=0)
    single = grown.types[rows].sum(axis=1) == 1
    assert (grown.types[rows, 0] & single).sum() == 20
    assert (grown.patients[9:] == SYNTHETIC).all()


def test_the_release_itself_stays_as_it_is(prepared):
    grown, _ = oversample(prepared, TRAIN, Smote(EDH=20), seed=0)
    assert np.array_equal(grown.pictures[:9], prepared.pictures)
    assert np.array_equal(grown.layout[:9], prepared.layout)


def test_picture_and_mask_share_neighbours_and_weight(prepared):
    # Each picture is its mask in grey, so the mask must be the picture cut at one half.
    same = replace(prepared, pictures=prepared.masks.astype(np.uint8) * 255)
    grown, _ = oversample(same, TRAIN, Smote(EDH=30), seed=0)
    made = grown.pictures[grown.layout[9:, 1]]
    assert np.array_equal(made > 127, grown.masks[9:])
    assert ((made > 0) & (made < 255)).any()


def test_held_out_slices_are_never_parents(prepared):
    other = replace(prepared, pictures=prepared.pictures.copy(), masks=prepared.masks.copy())
    other.pictures[8], other.masks[8] = 0, True
    ours, _ = oversample(prepared, TRAIN, Smote(EDH=20), seed=0)
    theirs, _ = oversample(other, TRAIN, Smote(EDH=20), seed=0)
    assert np.array_equal(ours.pictures[9:], theirs.pictures[9:])


def test_a_seed_gives_the_same_slices_again(prepared):
    first, again, other = (
        oversample(prepared, TRAIN, Smote(EDH=20), seed)[0].pictures for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_targets_nothing_is_added(prepared):
    grown, rows = oversample(prepared, TRAIN, Smote(), seed=0)
    assert grown is prepared
    assert rows.tolist() == TRAIN.tolist()


@pytest.mark.parametrize("met", [Smote(EDH=3), Smote(EDH=6)])
def test_a_target_that_is_met_already_makes_nothing(prepared, met):
    grown, rows = oversample(prepared, TRAIN, met, seed=0)
    assert grown is prepared
    assert rows.tolist() == TRAIN.tolist()


def test_a_target_that_is_met_leaves_the_others_to_theirs(prepared):
    types = prepared.types.copy()
    types[4:6] = np.eye(5, dtype=bool)[4]  # two of SDH, four of EDH left
    grown, rows = oversample(replace(prepared, types=types), TRAIN, Smote(EDH=2, SDH=6), seed=0)
    assert grown.types[rows[len(TRAIN) :]].sum(axis=0).tolist() == [0, 0, 0, 0, 4]


def test_a_type_with_nothing_to_make_it_of_is_refused_by_its_setting(prepared):
    with pytest.raises(ConfigError, match=r"\[smote\] SAH = 5: .* set SAH = 0"):
        oversample(prepared, TRAIN, Smote(SAH=5), seed=0)


def test_table_4_counts_what_was_there_and_what_was_made(prepared):
    grown, _ = oversample(prepared, TRAIN, Smote(EDH=20), seed=0)
    lines = {line[0]: line[1:3] for line in table_4(prepared, TRAIN, grown).rows}
    assert lines["EDH"] == ("7", "14")
    assert lines["IPH"] == ("1", "0")


def test_figure_5_has_a_line_for_each_type_that_was_made(prepared):
    one, _ = oversample(prepared, TRAIN, Smote(EDH=20), seed=0)
    figure = contact_sheet(prepared, TRAIN, one, seed=0)
    pixels = cv2.imdecode(np.frombuffer(figure.png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels.shape[1] > 4 * pixels.shape[0]  # eight pictures side by side, one line


def test_a_preset_without_smote_has_no_figure_5(prepared):
    same, _ = oversample(prepared, TRAIN, Smote(), seed=0)
    with pytest.raises(ConfigError, match="asks SMOTE for nothing"):
        contact_sheet(prepared, TRAIN, same, seed=0)
