from dataclasses import replace

import numpy as np
import pytest

from tests.support.skulls import BRAIN_HU, GRAIN_HU, PIXEL_MM, UP_MM, prepared_skulls, skull_hu
from trainer.config import PRESETS, Augment, ConfigError, RunConfig, load_config
from trainer.reports.synthetic_bleeds import bleeds_sheet, measures
from trainer.training.batches import Bleeds, load_batch
from trainer.training.synthetic import shapes
from trainer.training.synthetic.anatomy import anatomy
from trainer.training.synthetic.draw import LEAST_ML, draw, filled
from trainer.training.synthetic.priors import MOST_ML, priors
from trainer.training.synthetic.scenes import scenes, truth
from trainer.training.synthetic.trial import tried
from worker.munet.card import CLASSES
from worker.munet.preprocessing import Preprocessing

SEEDS = range(4)
MIDDLE = int(np.flatnonzero(UP_MM == 15)[0])  # through the ventricles
PLAIN = Preprocessing(clip_limit=0.0)
DRAWING = RunConfig("drawing", augment=Augment(synthetic=1.0), preprocessing=PLAIN)


def looked_at(gap=False):
    hu = np.clip(skull_hu(np.random.default_rng(0), gap), -20, 100)
    return anatomy(hu, np.zeros(hu.shape, bool), UP_MM, PIXEL_MM, (-17.0, 97.0))


@pytest.fixture(scope="module")
def head():
    return looked_at()


@pytest.fixture(scope="module")
def prepared():
    return prepared_skulls()


def bleeds_of(head, name):
    made = [draw(head, MIDDLE, np.random.default_rng(seed), (name,)) for seed in SEEDS]
    made = [drawn for drawn in made if drawn is not None]
    assert made
    return made


def test_a_head_has_room_ventricles_and_sulci(head):
    assert head.brain_hu == pytest.approx(BRAIN_HU, abs=1)
    assert head.noise_hu == pytest.approx(GRAIN_HU, rel=0.5)
    ventricles = head.ventricles[MIDDLE].sum() * PIXEL_MM**2
    assert ventricles == pytest.approx(2 * np.pi * 8 * 28, rel=0.3)
    shallow = (head.fluid >= 0.5) & (head.depth_mm < 20)
    assert shallow[MIDDLE].sum() > 50
    assert not (head.ventricles & shallow).any()


@pytest.mark.parametrize("name", CLASSES)
def test_nothing_changes_outside_the_skull(head, name):
    for drawn in bleeds_of(head, name):
        assert head.room[drawn.kinds > 0].all()
        assert np.array_equal(drawn.hu[~head.room], head.hu[~head.room])


@pytest.mark.parametrize("name", CLASSES)
def test_a_bleed_has_the_volume_and_the_density_of_a_real_one(head, name):
    slice_ml = PIXEL_MM**2 * 5 / 1000
    for drawn in bleeds_of(head, name):
        ((called, bleed),) = drawn.bleeds
        assert called == name
        assert LEAST_ML / 2 <= bleed.volume_ml <= MOST_ML + slice_ml
        inside = drawn.hu[drawn.kinds > 0]
        assert bleed.hu in {prior.hu for prior in priors()[name]}
        assert min(bleed.hu, BRAIN_HU) - 10 < np.median(inside) < max(bleed.hu, BRAIN_HU) + 10


def test_a_volume_is_met_to_the_voxel(head):
    shape = shapes.lens(head, MIDDLE, 10.0, np.random.default_rng(0))
    volume_ml = ((filled(head, shape, 10.0) >= 0.5) * head.voxel_ml).sum()
    assert volume_ml == pytest.approx(10, abs=0.05)


def test_edges_are_mixed_of_blood_and_brain(head):
    share = filled(head, shapes.blob(head, MIDDLE, 8.0, np.random.default_rng(0)), 8.0)
    assert ((share > 0.1) & (share < 0.9)).sum() > 50
    assert (share > 0.99).any()


def test_blood_has_the_grain_of_the_head(head):
    grains = []
    for seed in range(20):
        drawn = draw(head, MIDDLE, np.random.default_rng(seed), ("IPH",))
        if drawn is not None and drawn.bleeds[0][1].volume_ml > 5:
            mask = drawn.kinds[MIDDLE] > 0
            apart = np.diff(drawn.hu[MIDDLE], axis=1)[mask[:, 1:] & mask[:, :-1]]
            grains.append(1.48 * np.median(np.abs(apart)) / np.sqrt(2))
    assert 0.3 * GRAIN_HU < np.median(grains) < 2 * GRAIN_HU


def test_dim_blood_is_among_what_is_drawn():
    densities = [prior.hu for bleeds in priors().values() for prior in bleeds]
    assert 0.1 < np.mean(np.array(densities) < 40) < 0.4
    assert min(densities) >= 28
    assert max(densities) <= 90


def test_a_lens_and_a_crescent_lie_on_the_inner_table(head):
    for name in ("EDH", "SDH"):
        for drawn in bleeds_of(head, name):
            at = int((drawn.kinds > 0).sum(axis=(1, 2)).argmax())
            assert head.depth_mm[at][drawn.kinds[at] > 0].min() <= 2 * PIXEL_MM


def test_a_crescent_stays_on_its_side(head):
    for drawn in bleeds_of(head, "SDH"):
        sides = np.broadcast_to(head.lateral_mm, drawn.kinds.shape)[drawn.kinds > 0]
        assert (sides > 0).all() or (sides < 0).all()


def test_blood_around_the_brain_fills_sulci_and_that_in_ventricles_the_ventricles(head):
    for drawn in bleeds_of(head, "SAH"):
        mask = drawn.kinds > 0
        assert (head.fluid[mask] > 0.3).all()
        assert not head.ventricles[mask].any()
    for drawn in bleeds_of(head, "IVH"):
        assert head.ventricles[drawn.kinds > 0].mean() > 0.8


def test_settled_blood_lies_behind_and_ends_at_a_level(head, monkeypatch):
    monkeypatch.setattr(shapes, "LEVEL", 1.0)
    shape = shapes.ventricles(head, MIDDLE, 2.0, np.random.default_rng(0))
    mask = filled(head, shape, 2.0) >= 0.5
    behind = np.broadcast_to(head.backward_mm, mask.shape)
    assert behind[mask].mean() > behind[head.ventricles].mean() + 5


def test_a_seed_draws_the_same_bleed_and_another_one_another(head):
    first, same, other = (draw(head, MIDDLE, np.random.default_rng(s)) for s in (7, 7, 8))
    assert np.array_equal(first.hu, same.hu)
    assert np.array_equal(first.kinds, same.kinds)
    assert other is None or not np.array_equal(first.kinds, other.kinds)


def test_several_bleeds_of_a_head_have_types_of_their_own_and_share_no_voxel(head):
    made = [draw(head, MIDDLE, np.random.default_rng(seed)) for seed in range(24)]
    several = [drawn for drawn in made if drawn is not None and len(drawn.bleeds) > 1]
    assert several
    for drawn in several:
        for name, bleed in drawn.bleeds:
            own = drawn.kinds == CLASSES.index(name) + 1
            assert (own * head.voxel_ml).sum() == pytest.approx(bleed.volume_ml)


def test_nothing_is_drawn_where_no_skull_is_closed():
    gap = looked_at(gap=True)
    assert not gap.closed.any()
    assert draw(gap, MIDDLE, np.random.default_rng(0)) is None
    open_ = prepared_skulls(gap=True)
    assert scenes(open_, np.arange(len(open_)), DRAWING, 0) == {}


def test_new_blood_spares_what_bleeds_already(prepared):
    bleeding = replace(prepared, masks=prepared.masks.copy(), types=prepared.types.copy())
    bleeding.masks[MIDDLE, 40:48, 60:70] = True
    bleeding.types[MIDDLE, 1] = True
    rows = np.arange(len(UP_MM))
    for epoch in range(6):
        made = scenes(bleeding, rows, DRAWING, epoch).get(MIDDLE)
        if made is not None:
            assert (made.kinds[40:48, 60:70] == 2).all()
            assert made.types[1]


def test_a_slice_whose_types_can_not_be_told_apart_is_left_alone(prepared):
    mixed = replace(prepared, types=prepared.types.copy())
    mixed.types[MIDDLE, :2] = True
    assert truth(mixed, MIDDLE) is None
    assert MIDDLE not in scenes(mixed, np.array([MIDDLE]), DRAWING, 0)


def test_slices_beside_each_other_show_the_same_bleed(prepared):
    made = scenes(prepared, np.arange(len(UP_MM)), DRAWING, 0)
    pairs = [row for row in made if row + 1 in made]
    same = [
        np.array_equal(made[row].pictures[2], made[row + 1].pictures[1])
        and np.array_equal(made[row].pictures[1], made[row + 1].pictures[0])
        for row in pairs
    ]
    assert sum(same) > len(pairs) / 2  # others belong to two bleeds of one epoch


def test_the_share_of_slices_is_the_presets(prepared):
    rows = np.arange(len(prepared))
    half = replace(DRAWING, augment=Augment(synthetic=0.5))
    made = [len(scenes(prepared, rows, half, epoch)) for epoch in range(3)]
    every = [len(scenes(prepared, rows, DRAWING, epoch)) for epoch in range(3)]
    assert 0.3 < sum(made) / sum(every) < 0.7


def test_an_epoch_is_the_same_whatever_the_order_of_its_slices(prepared):
    rows = np.arange(len(prepared))
    there, back = (scenes(prepared, order, DRAWING, 3) for order in (rows, rows[::-1]))
    assert there.keys() == back.keys()
    assert all(np.array_equal(there[row].pictures, back[row].pictures) for row in there)
    assert scenes(prepared, rows, DRAWING, 4).keys() != there.keys() or any(
        not np.array_equal(made.kinds, there[row].kinds)
        for row, made in scenes(prepared, rows, DRAWING, 4).items()
    )


def test_a_batch_holds_the_types_of_drawn_pixels(prepared):
    rows = np.arange(len(UP_MM))
    drawn = scenes(prepared, rows, DRAWING, 0)
    bleeds = Bleeds(prepared, rows, 0.0, np.random.default_rng(0), drawn)
    batch = load_batch(prepared, rows, prepared.masks.shape[1], bleeds)
    assert not batch.genuine[list(drawn)].any()
    assert batch.genuine.sum() == len(rows) - len(drawn)
    for row, made in drawn.items():
        assert batch.target.types[row].bool().tolist() == made.types.tolist()
        assert np.array_equal(batch.target.mask[row].numpy() > 0, made.kinds > 0)
        for kind in np.unique(made.kinds[made.kinds > 0]):
            maps = batch.target.maps()[row, kind - 1].numpy()
            assert np.array_equal(maps > 0, made.kinds == kind)
    assert not prepared.masks.any()


def test_pictures_without_hu_are_refused(prepared):
    equalised = replace(DRAWING, preprocessing=Preprocessing(clip_limit=2.0))
    with pytest.raises(ConfigError, match="clip_limit"):
        scenes(prepared, np.arange(3), equalised, 0)


def test_only_the_presets_named_for_it_draw_and_none_weighs_volumes():
    presets = [load_config(path.stem) for path in PRESETS.glob("*.toml")]
    drawing = {preset.name for preset in presets if preset.augment.synthetic}
    assert drawing == {"drawn", "synthetic"}
    assert not any(preset.loss.volume for preset in presets)


def test_the_sheet_shows_each_type_and_the_table_counts_it(prepared):
    heads = list(tried(prepared, (1, 2), PLAIN, 0))
    table = measures(heads)
    assert [row[0] for row in table.rows] == list(CLASSES)
    assert sum(int(row[1]) + int(row[2]) for row in table.rows) == 2 * len(CLASSES)
    assert bleeds_sheet(heads, PLAIN).png.startswith(b"\x89PNG")


def test_a_sheet_of_open_skulls_says_so():
    heads = list(tried(prepared_skulls(1, gap=True), (1,), PLAIN, 0))
    with pytest.raises(ConfigError, match="closed skull"):
        bleeds_sheet(heads, PLAIN)
