from dataclasses import replace

import cv2
import numpy as np
import pytest

from trainer.evaluation.perturb import Head, sharper
from worker.munet.clahe import equalise
from worker.munet.grain import grain
from worker.munet.head import head_box
from worker.munet.preprocessing import Preprocessing, neighbours, window
from worker.munet.resize import Box, resize, restore
from worker.munet.slab import extents, slab_weights, slabs


def test_the_brain_window_has_exact_ends_and_middle():
    hu = np.array([-1000.0, -20.0, 40.0, 100.0, 3000.0, np.nan])
    assert window(hu, 40, 120).tolist() == [0, 0, 128, 255, 255, 0]


def test_the_window_rounds_to_the_nearest_grey():
    assert window(np.array([-19.9, -19.6]), 40, 120).tolist() == [0, 1]


def test_a_window_without_width_is_refused():
    with pytest.raises(ValueError, match="width 0"):
        window(np.zeros(1), 40, 0)


def test_a_wide_frame_is_centred_between_bands_of_air():
    square = resize(np.full((100, 200), 9, np.uint8), Box.frame(100, 200), 256)
    assert square[:63].max() == square[193:].max() == 0
    assert square[65:191].min() == 9


@pytest.mark.parametrize("shape", [(512, 512), (400, 650), (650, 401), (100, 90), (256, 256)])
@pytest.mark.parametrize("box", [None, Box(-10, 5, 80), Box(20, -15, 320)])
def test_a_pixel_comes_back_onto_itself(shape, box):
    box = box or Box.frame(*shape)
    row, column = 45, 40
    frame = np.zeros(shape, np.uint8)
    frame[row - 8 : row + 9, column - 8 : column + 9] = 255
    square = resize(frame, box, 256).astype(np.float32) / 255
    back = restore(square, box, *shape, smooth=True)
    rows, columns = np.nonzero(back >= 0.5)
    assert back.shape == shape
    assert rows.mean() == pytest.approx(row, abs=0.6)
    assert columns.mean() == pytest.approx(column, abs=0.6)


def test_labels_come_back_without_new_values():
    labels = np.zeros((256, 256), np.uint8)
    labels[100:150, 100:150] = 5
    back = restore(labels, Box.frame(512, 300), 512, 300, smooth=False)
    assert set(np.unique(back)) == {0, 5}


def test_outside_the_box_nothing_is_found():
    back = restore(np.ones((64, 64), np.float32), Box(10, 20, 30), 100, 100, smooth=True)
    assert back.sum() == 900
    assert back[10:40, 20:50].min() == 1


def test_an_empty_frame_has_no_box():
    with pytest.raises(ValueError, match="no pixels"):
        Box.frame(0, 10)


def skull(rows=200, columns=200):
    hu = np.full((4, rows, columns), -1000.0)
    hu[:, 60:140, 50:120] = 800
    hu[:, 66:134, 56:114] = 30
    return hu


def test_the_head_fills_its_box():
    assert head_box(skull()) == Box(56, 41, 88)


def test_the_plates_of_an_infants_skull_are_one_head():
    hu = skull()
    hu[:, 96:104] = hu[:, :, 82:90] = 30  # open sutures
    assert head_box(hu) == Box(56, 41, 88)


def test_a_metal_rail_beside_the_head_does_not_widen_the_box():
    hu = skull()
    hu[:, 190:192, 100:140] = 2000
    assert head_box(hu) == Box(56, 41, 88)


def test_what_one_slice_in_twenty_shows_does_not_widen_the_box():
    hu = np.concatenate([skull()] * 5)
    hu[0, 10:60, 80:90] = 800
    assert head_box(hu) == Box(56, 41, 88)


@pytest.mark.parametrize("hu", [np.full((4, 80, 100), -1000.0), skull(900, 900)])
def test_without_a_head_the_whole_frame_is_seen(hu):
    assert head_box(hu) == Box.frame(*hu.shape[1:])


def test_the_papers_crop_is_the_whole_frame():
    assert Preprocessing(crop="frame").box(skull()) == Box(0, 0, 200)


def test_clahe_keeps_a_flat_picture_flat():
    assert np.unique(equalise(np.full((64, 64), 100, np.uint8), 2.0, 8)).size == 1


def test_clahe_with_limit_0_is_the_picture_itself():
    picture = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    assert equalise(picture, 0, 8) is picture


def faint_step():
    return np.tile(np.repeat(np.array([100, 101], np.uint8), 4), (64, 8))


def test_clahe_without_clipping_spreads_a_step_over_the_whole_scale():
    # Half of a tile's 64 pixels lie at or below the lower grey: 255 * 32/64.
    assert np.unique(equalise(faint_step(), 256.0, 8)).tolist() == [128, 255]


def test_clahe_clips_what_a_grey_may_add():
    # Limit 40 leaves 40 * 64/256 = 10 of each grey's 32 pixels; of the other 44 every fifth grey
    # gets one: 21 up to the lower grey. 255 * 31/64 and 255 * 41/64.
    assert np.unique(equalise(faint_step(), 40.0, 8)).tolist() == [124, 163]


def test_slices_reach_half_way_to_their_neighbours():
    assert extents(np.array([0.0, 2.0, 6.0])).tolist() == [[-1, 1], [1, 4], [4, 8]]


def test_a_5_mm_series_passes_the_slab_untouched():
    hu = np.random.default_rng(0).normal(size=(6, 4, 4)).astype(np.float32)
    positions = np.arange(6) * 5.0 + np.array([0, 1, -1, 1, 0, 1]) * 1e-3
    made = slabs(hu, positions, 5.0)
    assert made.hu is hu
    assert made.nearest.tolist() == [0, 1, 2, 3, 4, 5]


def test_1_mm_slices_become_a_fifth_as_many_means_of_five():
    hu = np.arange(10, dtype=np.float32)[:, None, None] ** 2
    made = slabs(hu, np.arange(10) * 1.0, 5.0)
    assert made.slice_position_mm.tolist() == [2, 7]
    assert made.hu[:, 0, 0] == pytest.approx([np.mean([0, 1, 4, 9, 16]), 51])
    assert made.nearest.tolist() == [0] * 5 + [1] * 5


@pytest.mark.parametrize("step_mm", [0.625, 1.25, 2.5])
def test_one_scan_gives_the_same_slabs_whatever_it_is_cut_into(step_mm):
    thick = np.random.default_rng(0).normal(size=(8, 4, 4)).astype(np.float32)
    share = round(5 / step_mm)
    thin = np.repeat(thick, share, axis=0)
    positions = (np.arange(len(thin)) + 0.5) * step_mm - 2.5
    made = slabs(thin, positions, 5.0)
    assert made.slice_position_mm == pytest.approx(np.arange(8) * 5.0)
    assert made.hu == pytest.approx(thick, abs=1e-5)


def test_thick_slices_above_thin_ones_stay_as_they_are():
    hu = np.arange(13, dtype=np.float32)[:, None, None] ** 2
    positions = np.concatenate((np.arange(10) * 1.0, [12.0, 18.0, 24.0]))
    made = slabs(hu, positions, 5.0)
    assert made.hu[-3:, 0, 0].tolist() == [100, 121, 144]
    assert made.slice_position_mm[-3:].tolist() == [12, 18, 24]
    assert made.hu[0, 0, 0] == pytest.approx((1 + 4 + 9 + 16 + 25 / 2) / 5)
    assert made.nearest[-3:].tolist() == [len(made.hu) - 3, len(made.hu) - 2, len(made.hu) - 1]


def test_two_slices_that_nearly_touch_blur_none_of_their_thick_neighbours():
    hu = np.random.default_rng(0).normal(size=(6, 4, 4)).astype(np.float32)
    made = slabs(hu, np.array([0.0, 4.0, 8.0, 9.0, 16.0, 23.0]), 5.0)
    assert made.hu.tolist() == hu.tolist()


def test_slices_of_10_mm_stay_and_the_next_are_their_neighbours():
    hu, positions = np.zeros((3, 4, 4), np.float32), np.arange(3) * 10.0
    assert slabs(hu, positions, 5.0).hu is hu
    assert Preprocessing().layout(positions).tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]


def test_no_slab_lies_in_a_hole_of_the_series():
    positions = np.concatenate((np.arange(8) * 1.0, 60 + np.arange(8) * 1.0))
    laid = slabs(np.zeros((16, 2, 2), np.float32), positions, 5.0).slice_position_mm
    assert ((laid > 15) & (laid < 52)).sum() == 0


def test_uneven_gaps_weigh_slices_by_their_millimetres():
    # Around 2.5 mm the slab covers 0 ... 5: half of its first and of its last slice.
    indices, weights = slab_weights(extents(np.array([0.0, 2.5, 5.0, 10.0])), np.array([2.5]), 5.0)[
        0
    ]
    assert indices.tolist() == [0, 1, 2]
    assert weights == pytest.approx([1.25 / 5, 2.5 / 5, 1.25 / 5])


def test_a_slice_beside_a_gap_is_not_mixed_with_the_far_side():
    indices, weights = slab_weights(
        extents(np.array([0.0, 5.0, 15.0, 20.0])), np.array([5.0]), 5.0
    )[0]
    assert indices.tolist() == [1]
    assert weights == pytest.approx([1.0])


def test_positions_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise"):
        extents(np.array([0.0, 5.0, 5.0]))


def test_a_position_for_each_slice_is_needed():
    with pytest.raises(ValueError, match="3 slices came with 2 positions"):
        slabs(np.zeros((3, 2, 2)), np.arange(2.0), 5.0)


def test_neighbours_are_found_by_millimetres():
    assert neighbours(np.arange(0, 12, 1.0), 5.0)[6].tolist() == [1, 6, 11]


def test_the_first_and_last_slice_are_their_own_neighbours():
    found = neighbours(np.array([0.0, 5.0, 10.0]), 5.0)
    assert found.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 2]]


def channels(preprocessing):
    hu = np.random.default_rng(0).normal(40, 30, (3, 40, 40)).astype(np.float32)
    series, _ = preprocessing(hu, np.arange(3) * 5.0)
    return series.pictures[series.layout]


def test_gray_channels_are_three_times_the_slice():
    made = channels(Preprocessing(channels="gray", size=64))
    assert made.shape == (3, 3, 64, 64)
    assert np.array_equal(made[:, 0], made[:, 1])
    assert np.array_equal(made[:, 1], made[:, 2])


def test_neighbour_channels_are_below_this_and_above():
    made = channels(Preprocessing(size=64))
    assert np.array_equal(made[1, 0], made[0, 1])
    assert np.array_equal(made[1, 2], made[2, 1])


def oval(angle_deg=0.0, brain_hu=30.0):
    """A skull longer than wide, with a mark at its front, turned clockwise."""
    frame = np.full((256, 256), -1000.0, np.float32)
    cv2.ellipse(frame, (128, 128), (62, 84), 0, 0, 360, 900.0, -1)
    cv2.ellipse(frame, (128, 128), (56, 78), 0, 0, 360, brain_hu, -1)
    cv2.circle(frame, (128, 80), 8, 75.0, -1)
    turn = cv2.getRotationMatrix2D((127.5, 127.5), -angle_deg, 1.0)
    moved = cv2.warpAffine(frame, turn, (256, 256), borderValue=-1000.0)
    return np.repeat(moved[None], 3, axis=0)


@pytest.mark.parametrize("angle_deg", [-70, -45, -20, 10, 20, 60])
def test_a_leaning_head_is_laid_upright(angle_deg):
    settings = Preprocessing(size=128, clip_limit=0.0, straighten=True)
    (upright, _), (leaning, _) = (settings(oval(a), np.arange(3) * 5.0) for a in (0, angle_deg))
    apart = np.abs(upright.pictures.astype(int) - leaning.pictures.astype(int))
    assert head_box(oval(angle_deg), straighten=True).turn_deg == pytest.approx(angle_deg, abs=1.5)
    assert np.mean(apart > 60) < 0.06  # two edges of bone, half a pixel off


def test_a_round_head_lies_as_it_lies():
    hu = np.full((2, 200, 200), -1000.0, np.float32)
    for frame in hu:
        cv2.circle(frame, (100, 100), 60, 900.0, 6)
    assert head_box(hu, straighten=True).turn_deg == 0


def test_what_is_found_in_a_straightened_head_comes_back_where_it_lies():
    hu = oval(30)
    settings = Preprocessing(size=128, clip_limit=0.0, straighten=True)
    series, back = settings(hu, np.arange(3) * 5.0)
    mark = ((series.pictures[0] > 180) & (series.pictures[0] < 240)).astype(np.float32)
    found = restore(cv2.erode(mark, np.ones((3, 3))), back.box, 256, 256, smooth=True) >= 0.5
    there = (hu[0] > 65) & (hu[0] < 85)
    assert found.sum() > 20
    assert there[found].mean() > 0.95


def test_an_offset_of_the_scanner_moves_no_grey_of_brain():
    settings = Preprocessing(size=64, clip_limit=0.0, brain_hu=36.0)
    shown = [
        np.median(settings(oval(0, 34.0 + off)[:1], np.zeros(1))[0].pictures[0, 20:44, 24:40])
        for off in (-5, 0, 5)
    ]
    assert np.ptp(shown) <= 1


def grainy(sigma_hu):
    """A head as a soft kernel shows it, edges and noise alike."""
    rng = np.random.default_rng(0)
    noise = np.stack([soft(each) for each in rng.standard_normal((3, 256, 256))])
    head = np.stack([soft(frame) for frame in oval()])
    return head + sigma_hu * (noise / noise.std()).astype(np.float32)


def soft(frame):
    return cv2.GaussianBlur(frame, (0, 0), 1.2)


def test_a_sharp_kernel_shows_the_pictures_of_a_soft_one():
    plain = Preprocessing(size=128, clip_limit=0.0)
    positions, head = np.arange(3) * 5.0, grainy(4.0)
    sharp = sharper(1.5)(Head(head, positions)).hu
    want = plain(head, positions)[0].pictures
    most_hu = grain(want) * plain.width_hu / 255
    steady = replace(plain, noise_hu=most_hu)
    apart = [
        np.abs(want.astype(int) - settings(sharp, positions)[0].pictures).mean()
        for settings in (plain, steady)
    ]
    assert apart[1] < 0.75 * apart[0]


def test_a_series_no_grainier_than_allowed_is_left_as_it_is():
    plain, positions = Preprocessing(size=128, clip_limit=0.0), np.arange(3) * 5.0
    steady = replace(plain, noise_hu=8.0)
    shown = [settings(grainy(4.0), positions)[0].pictures for settings in (plain, steady)]
    assert np.array_equal(*shown)


@pytest.mark.parametrize("noise_hu", [1.0, 2.0])
def test_what_the_network_sees_is_no_grainier_than_allowed(noise_hu):
    settings = Preprocessing(size=128, clip_limit=0.0, noise_hu=noise_hu)
    shown = settings(grainy(12.0), np.arange(3) * 5.0)[0].pictures
    assert 0 < grain(shown) * settings.width_hu / 255 <= noise_hu


def test_a_series_without_tissue_has_no_grain_and_is_left_as_it_is():
    air = np.full((2, 64, 64), -1000.0, np.float32)
    pictures = Preprocessing(size=64, clip_limit=0.0, noise_hu=1.0)(air, np.arange(2) * 5.0)[
        0
    ].pictures
    assert grain(pictures) == 0
    assert not pictures.any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 100},
        {"channels": "rgb"},
        {"crop": "body"},
        {"width_hu": 0.0},
        {"slab_mm": -1.0},
        {"noise_hu": -1.0},
    ],
)
def test_impossible_preprocessing_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must|need|are"):
        Preprocessing(**wrong)


def test_bones_window_is_a_fourth_channel_of_the_slice_itself():
    hu = np.full((3, 64, 64), 40.0, np.float32)
    hu[1, 16:48, 16:48] = 900.0
    series, _ = Preprocessing(channels="bone", crop="frame", size=64, clip_limit=0.0)(
        hu, np.arange(3) * 5.0
    )
    assert series.pictures.shape == (6, 64, 64)
    assert series.brain.shape == (3, 64, 64)
    seen = series.pictures[series.layout]
    assert seen.shape == (3, 4, 64, 64)
    assert seen[1, 1, 32, 32] == 255 > seen[1, 3, 32, 32] > 200 > 100 > seen[0, 3, 32, 32]


def test_bones_window_tells_bone_from_fresh_blood_that_the_brain_window_shows_alike():
    hu = np.full((1, 64, 64), 40.0, np.float32)
    hu[0, :, :20], hu[0, :, 40:] = 110.0, 700.0
    preprocessing = Preprocessing(channels="bone", crop="frame", size=64, clip_limit=0.0)
    series, _ = preprocessing(hu, np.zeros(1))
    blood, bone = series.pictures[:, 32, 8].astype(int), series.pictures[:, 32, 56].astype(int)
    assert blood[0] == bone[0] == 255
    assert bone[1] - blood[1] > 100


def test_the_brain_window_is_the_same_with_and_without_bones():
    hu = np.random.default_rng(0).normal(40, 30, (3, 64, 64)).astype(np.float32)
    settings = {"size": 64, "brain_hu": 36.5, "noise_hu": 1.6}
    both, _ = Preprocessing(channels="bone", **settings)(hu, np.arange(3) * 5.0)
    brain, _ = Preprocessing(channels="neighbours", **settings)(hu, np.arange(3) * 5.0)
    assert np.array_equal(both.brain, brain.pictures)
    assert np.array_equal(both.layout[:, :3], brain.layout)


def test_channels_that_are_none_are_refused():
    with pytest.raises(ValueError, match="channels are"):
        Preprocessing(channels="colour")
