import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.support.skulls import prepared_skulls
from trainer.config import (
    Augment,
    ConfigError,
    Loss,
    Optimiser,
    RunConfig,
    Sampling,
    Smote,
    Stage,
    build,
    load_config,
)
from trainer.datasets.cache import Prepared
from trainer.datasets.splits import LeakError, Split
from trainer.training import fit as fit_module
from trainer.training.augment import augment, moves
from trainer.training.batches import WHITE, Bleeds, gather, load_batch
from trainer.training.fit import fit
from trainer.training.losses import Target, total_loss
from trainer.training.run import RECORD, STATE, Run, averaged, baseline, describe
from trainer.training.sampling import draw, positive_weights
from trainer.training.schedule import halvings, next_epoch, rate
from trainer.training.smote import oversample
from trainer.training.synthetic.scenes import scenes
from trainer.training.validation import mean_loss
from worker.munet.inference import to_input
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing

pytestmark = pytest.mark.slow  # trains

TINY = RunConfig(
    "tiny",
    stages=(Stage(32, 2, 4), Stage(64, 2, 4)),
    network=NetworkConfig(width=4),
    augment=Augment(mirror=True, rotate_deg=10, scale=0.1, shift=0.1, contrast=0.1, noise=0.05),
    sampling=Sampling(slices=12),
    loss=Loss(cross_entropy=1.0),
    optimiser=Optimiser(rate=1e-3, schedule="cosine", average=0.9),
)
SPLIT = Split((1, 2, 3), (4, 5))


@pytest.fixture(scope="module")
def prepared():
    """Five heads of four slices; a bright square is a bleed, patients 3 and 5 are healthy."""
    rng = np.random.default_rng(0)
    patients = np.repeat([1, 2, 3, 4, 5], 4)
    types, masks = np.zeros((20, 5), np.bool_), np.zeros((20, 64, 64), np.bool_)
    for row, kind in ((1, 0), (2, 0), (5, 4), (13, 1)):
        types[row, kind] = True
        masks[row, 10:30, 20:40] = True
    pictures = rng.integers(60, 100, (20, 64, 64)).astype(np.uint8)
    pictures[masks] += 100
    layout = np.repeat(np.arange(20)[:, None], 3, axis=1)
    return Prepared(patients, np.tile([1, 2, 3, 4], 5), types, pictures, masks, layout)


def quiet():
    return Console(file=io.StringIO())


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.average.parameters()])


def test_a_killed_run_goes_on_to_the_same_numbers(prepared, tmp_path, monkeypatch):
    whole = fit(TINY, prepared, SPLIT, tmp_path / "whole", quiet())
    step, steps = fit_module.train_step, []

    def killed(*arguments):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "train_step", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(TINY, prepared, SPLIT, tmp_path / "killed", quiet())
    torch.rand(7)  # another process has another random state
    resumed = fit(TINY, prepared, SPLIT, tmp_path / "killed", quiet())
    assert torch.equal(weights(whole), weights(resumed))
    losses = [[h["loss"] for h in run.history] for run in (whole, resumed)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == TINY.epochs


def test_a_run_of_other_settings_is_not_taken_up(prepared, tmp_path):
    Run.start(TINY, len(prepared)).save(tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        Run.resume(replace(TINY, seed=1), len(prepared), tmp_path)


def older(folder):
    """Leave a run as code wrote it that kept no split beside the weights."""
    stored = torch.load(folder / STATE, weights_only=True)
    del stored["split"]
    torch.save(stored, folder / STATE)


@pytest.mark.parametrize("written", [lambda _: None, older], ids=["now", "by older code"])
def test_a_run_is_not_taken_up_with_other_patients_held_out(prepared, tmp_path, written):
    short = replace(TINY, stages=(Stage(32, 1, 4),))
    fit(short, prepared, SPLIT, tmp_path, quiet())
    written(tmp_path)
    record = (tmp_path / RECORD).read_text()
    for other in (Split((3, 4, 5), (1, 2)), Split((1, 2, 3, 4, 5), ()), Split((1, 2, 3), (4,))):
        with pytest.raises(LeakError, match=r"other patients.*use another folder"):
            fit(short, prepared, other, tmp_path, quiet())
    assert (tmp_path / RECORD).read_text() == record
    assert fit(short, prepared, SPLIT, tmp_path, quiet()).epoch == 1


@pytest.mark.parametrize("written", [lambda _: None, older], ids=["now", "by older code"])
def test_a_fold_that_watched_training_patients_is_taken_up_again(prepared, tmp_path, written):
    short, loop = replace(TINY, stages=(Stage(32, 1, 4),)), Split((1, 2), (3,))
    fit(short, prepared, loop, tmp_path, quiet())
    describe(tmp_path, short, SPLIT)  # as `crossval` ends it
    written(tmp_path)
    assert fit(short, prepared, loop, tmp_path, quiet()).epoch == 1


def test_a_save_leaves_no_part_file(prepared, tmp_path):
    Run.start(TINY, len(prepared)).save(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["state.pt"]


def test_training_lowers_the_loss(prepared, tmp_path):
    quick = replace(TINY.optimiser, rate=1e-2)
    longer = replace(TINY, stages=(Stage(32, 12, 4),), optimiser=quick)
    history = fit(longer, prepared, SPLIT, tmp_path, quiet()).history
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_validation_patients_are_never_drawn(prepared, tmp_path, monkeypatch):
    seen = []

    def spy(prepared, rows, size, bleeds, mix):
        seen.extend([*rows, *bleeds.donors])
        return load_batch(prepared, rows, size, bleeds, mix)

    monkeypatch.setattr(fit_module, "load_batch", spy)
    fit(TINY, prepared, SPLIT, tmp_path, quiet())
    assert set(prepared.patients[seen]) <= set(SPLIT.train)


def test_a_batch_holds_pictures_masks_and_types(prepared):
    none = Bleeds(prepared, np.arange(20), 0.0, np.random.default_rng(0))
    batch = load_batch(prepared, np.array([0, 1]), 32, none)
    assert batch.pictures.shape == (2, 3, 32, 32)
    assert batch.target.mask.sum((1, 2)).tolist() == [0, 100]
    assert batch.target.types.tolist() == [[0] * 5, [1, 0, 0, 0, 0]]
    assert batch.genuine.tolist() == [True, True]


def test_half_of_an_epoch_is_positive(prepared):
    rows = np.arange(20)
    drawn = draw(prepared, rows, np.zeros(20), Sampling(slices=100), np.random.default_rng(0))
    assert prepared.positive[drawn].sum() == 50


def test_without_a_number_an_epoch_is_every_slice_once(prepared):
    drawn = draw(prepared, np.arange(20), np.zeros(20), Sampling(), np.random.default_rng(0))
    assert sorted(drawn) == list(range(20))


def test_a_healthy_slice_that_scored_high_is_drawn_more_often(prepared):
    hardness = np.zeros(20, np.float32)
    hardness[0] = 1
    config = Sampling(slices=2000, positive_share=0, hard_healthy=9)
    drawn = draw(prepared, np.arange(20), hardness, config, np.random.default_rng(0))
    counts = np.bincount(drawn, minlength=20)
    assert counts[0] == pytest.approx(10 * counts[3], rel=0.5)


def test_a_type_four_times_as_rare_weighs_twice():
    types = np.zeros((5, 5), np.bool_)
    types[:4, 0] = types[4, 1] = True
    assert positive_weights(types).tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]


def test_no_augmentation_changes_nothing():
    pictures, masks = torch.rand(2, 3, 16, 16), (torch.rand(2, 16, 16) > 0.5).float()
    changed, moved = augment(pictures, masks, Augment(), torch.Generator())
    assert torch.allclose(changed, pictures, atol=1e-5)
    assert torch.equal(moved, masks)


def test_picture_and_mask_move_together():
    masks = torch.zeros(8, 32, 32)
    masks[:, 6:14, 4:10] = 1
    pictures = masks[:, None].repeat(1, 3, 1, 1)
    config = Augment(mirror=True, rotate_deg=20, scale=0.2, shift=0.1, shear=0.1)
    changed, moved = augment(pictures, masks, config, torch.Generator().manual_seed(0))
    assert torch.equal((changed[:, 0] >= 0.5).float(), moved)
    assert not torch.equal(moved, masks)


def test_mirroring_alone_is_a_flip_of_columns():
    matrix = moves(64, Augment(mirror=True), torch.Generator().manual_seed(0))
    assert sorted({tuple(m.flatten().tolist()) for m in matrix}) == [
        (-1, 0, 0, 0, 1, 0),
        (1, 0, 0, 0, 1, 0),
    ]


def test_the_rate_halves_after_each_plateau():
    settings = Optimiser(patience=2)
    assert halvings([5, 4, 4, 4, 3, 3, 3], settings) == 2
    assert halvings([5, 4, 3, 2, 1], settings) == 0


def test_the_cosine_ends_at_a_hundredth():
    config = replace(TINY, optimiser=replace(TINY.optimiser, rate=1.0))
    assert rate(config, [], config.epochs / 2) == pytest.approx(0.51)
    assert rate(config, [], config.epochs) == pytest.approx(0.01)


def test_a_stage_ends_early_when_validation_gets_no_better():
    config = replace(TINY, optimiser=replace(TINY.optimiser, stop=2))
    config = replace(config, stages=(Stage(32, 5, 4), Stage(64, 5, 4)))
    told = [{"epoch": e, "validation_loss": loss} for e, loss in enumerate([0.9, 0.5, 0.6, 0.7])]
    assert [next_epoch(config, told[: n + 1], n) for n in range(4)] == [1, 2, 3, 5]
    anew = {"epoch": 5, "validation_loss": 0.8}
    assert next_epoch(config, [*told, anew], 5) == 6  # a stage starts anew


def test_the_loss_that_is_watched_is_that_of_training_on_untouched_slices(prepared):
    torch.manual_seed(0)
    network = MUNet(TINY.network).eval()
    rows = prepared.where(SPLIT.validation)
    masks, kinds = prepared.masks[rows], prepared.types[rows]
    target = Target(torch.from_numpy(masks).float(), torch.from_numpy(kinds).float())
    with torch.no_grad():
        output = network(to_input(torch.from_numpy(prepared.pictures[prepared.layout[rows]])))
        expected = float(total_loss(output, target, replace(TINY.loss, branches=(1.0,))))
    stage = Stage(masks.shape[-1], 1, len(rows))
    assert mean_loss(network, prepared, rows, stage, TINY.loss) == pytest.approx(expected)


def test_a_run_begun_before_the_loss_was_watched_is_not_taken_up(prepared, tmp_path):
    config = replace(TINY, optimiser=replace(TINY.optimiser, stop=9))
    fit(config, prepared, SPLIT, tmp_path, quiet())
    stored = torch.load(tmp_path / STATE, weights_only=True)
    stored["history"] = [{"epoch": 0, "loss": 1.0, "dice": 0.1}]
    torch.save(stored | {"epoch": 1}, tmp_path / STATE)
    with pytest.raises(ConfigError, match="begun before the loss was watched"):
        fit(config, prepared, SPLIT, tmp_path, quiet())


def test_a_run_that_stopped_early_is_finished(prepared, tmp_path):
    config = replace(TINY, stages=(Stage(32, 9, 4),), optimiser=Optimiser(rate=1e-9, stop=1))
    run = fit(config, prepared, SPLIT, tmp_path, quiet())
    stored = averaged(config, tmp_path)
    assert len(run.history) < 9
    assert stored.epoch == config.epochs
    assert len(fit(config, prepared, SPLIT, tmp_path, quiet()).history) == len(run.history)


def test_whom_nobody_watches_can_not_stop_early(prepared, tmp_path):
    config = replace(TINY, optimiser=Optimiser(stop=3))
    with pytest.raises(ConfigError, match="hold some out"):
        fit(config, prepared, Split((1, 2, 3), ()), tmp_path, quiet())


@pytest.mark.parametrize("architecture", ["munet", "unet"])
def test_the_last_phase_trains_the_heads_alone(prepared, tmp_path, architecture):
    config = TINY if architecture == "munet" else baseline(TINY)
    config = replace(config, stages=(Stage(32, 1, 4, heads_only=True),))
    before = Run.start(config, len(prepared)).network.state_dict()
    after = fit(config, prepared, SPLIT, tmp_path, quiet()).network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    heads = {"munet": {"heads", "classifier"}, "unet": {"head", "classifier"}}
    assert changed == heads[architecture]


def test_stages_follow_one_another():
    assert [TINY.stage_of(epoch).size for epoch in range(4)] == [32, 32, 64, 64]


def test_a_preset_stands_above_its_base_setting_by_setting(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('base = "drawn"\n[augment]\nmix = 0.1\n[[stages]]\nsize = 64\n', "utf-8")
    mine, drawn, best = load_config(str(own)), load_config("drawn"), load_config("best")
    assert mine.name == "own"
    assert mine.stages == (Stage(size=64),)
    assert mine.augment == replace(drawn.augment, mix=0.1)
    assert (mine.optimiser, mine.loss) == (drawn.optimiser, best.loss)


def test_a_base_that_is_no_preset_is_named(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('base = "bets"\n', "utf-8")
    with pytest.raises(ConfigError, match=r"bets\.toml: .*presets are"):
        load_config(str(own))


def test_the_paper_preset_is_table_5():
    paper = load_config("paper")
    assert paper.stages == (Stage(256, 60, 32), Stage(256, 10, 32, heads_only=True))
    assert (paper.optimiser.rate, paper.optimiser.schedule) == (1e-4, "plateau")
    assert paper.network == NetworkConfig(width=64)
    assert paper.loss.cross_entropy == 0
    assert not paper.sampling.healthy


def test_the_paper_learns_from_and_watches_slices_with_blood_alone(prepared, tmp_path, monkeypatch):
    seen = []

    def spy(slices, rows, *rest):
        seen.extend(slices.types[rows].any(axis=1).tolist())
        return load_batch(slices, rows, *rest)

    monkeypatch.setattr(fit_module, "load_batch", spy)
    sampling = replace(TINY.sampling, slices=0, healthy=False)
    gray = replace(TINY.preprocessing, channels="gray")
    optimiser = replace(TINY.optimiser, schedule="plateau")
    config = replace(TINY, sampling=sampling, preprocessing=gray, optimiser=optimiser)
    watched = Split(SPLIT.train, SPLIT.validation)  # 5 is healthy
    run = fit(config, prepared, watched, tmp_path, quiet())
    assert seen
    assert all(seen)
    assert np.isnan(run.history[-1]["specificity"])


def test_slices_with_blood_alone_have_no_neighbours():
    with pytest.raises(ConfigError, match='set channels = "gray"'):
        replace(TINY, sampling=replace(TINY.sampling, healthy=False))


def test_no_bleed_is_drawn_into_a_head_without_its_healthy_slices():
    with pytest.raises(ConfigError, match="synthetic = 0"):
        replace(load_config("paper"), augment=Augment(synthetic=0.3))


def test_a_run_that_only_knows_blood_wants_some_to_watch_and_to_learn_from(prepared, tmp_path):
    sampling = replace(TINY.sampling, slices=0, healthy=False)
    gray = replace(TINY.preprocessing, channels="gray")
    watching = replace(TINY.optimiser, stop=2)
    config = replace(TINY, sampling=sampling, preprocessing=gray, optimiser=watching)
    with pytest.raises(ConfigError, match="hold some with blood out"):
        fit(config, prepared, Split(SPLIT.train, (5,)), tmp_path, quiet())
    with pytest.raises(ConfigError, match="no slice to learn from"):
        fit(config, prepared, Split((3,), SPLIT.validation), tmp_path, quiet())


def test_a_run_learns_from_drawn_bleeds_and_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    skulls, drawn = prepared_skulls(3), []

    def spy(prepared, rows, size, bleeds, mix):
        drawn.append(len(bleeds.drawn))
        return load_batch(prepared, rows, size, bleeds, mix)

    monkeypatch.setattr(fit_module, "load_batch", spy)
    config = replace(
        TINY,
        stages=(Stage(64, 2, 8),),
        preprocessing=Preprocessing(clip_limit=0.0),
        augment=replace(TINY.augment, synthetic=0.5),
        loss=replace(TINY.loss, volume=0.5),
    )
    parts = Split((1, 2), (3,))
    whole = fit(config, skulls, parts, tmp_path / "whole", quiet())
    assert min(drawn) > 0
    assert all(np.isfinite(epoch["loss"]) for epoch in whole.history)
    again = fit(config, skulls, parts, tmp_path / "again", quiet())
    assert torch.equal(weights(whole), weights(again))


def test_bone_of_a_neighbour_weighs_in_a_mixed_slice_what_it_weighs_in_hu():
    pictures = np.full((5, 4, 4), 100, np.uint8)
    pictures[:2, :2], pictures[:2, 2:] = WHITE + 5, 110  # bone and brain below the middle slice
    layout = np.array([[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4]])
    stack = SimpleNamespace(pictures=pictures, layout=layout, patients=np.ones(5, int))
    seen = [gather(stack, np.array([2]), 0.3, np.random.default_rng(seed)) for seed in range(40)]
    changed = [grey[0, 1] for grey in seen if np.ptp(grey[0, 1])]
    assert changed
    assert all(grey[:2].min() > 100 + 10 * (grey[2:].max() - 100) for grey in changed)
    assert gather(stack, np.array([2]), 0.0, np.random.default_rng(0))[0, 1].max() == 100


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"best.*paper"):
        load_config("large")


def test_slices_are_not_mixed_where_clahe_has_moved_the_white_of_bone():
    mixing = replace(TINY.augment, mix=0.3)
    assert replace(TINY, augment=mixing, preprocessing=Preprocessing(clip_limit=0.0)).augment.mix
    with pytest.raises(ConfigError, match="clip_limit = 0"):
        replace(TINY, augment=mixing, preprocessing=Preprocessing(clip_limit=2.0))


def with_bones_window(prepared):
    """The same slices, each with a fourth picture of its own."""
    bone = np.full_like(prepared.pictures, 77)
    layout = np.column_stack((prepared.layout, len(prepared) + np.arange(len(prepared))))
    pictures = np.concatenate((prepared.pictures, bone))
    return replace(prepared, pictures=pictures, layout=layout)


BONE = replace(
    TINY,
    network=NetworkConfig(width=4, in_channels=4),
    preprocessing=Preprocessing(channels="bone", clip_limit=0.0),
)


def test_a_run_learns_from_bones_window_and_watches_with_it(prepared, tmp_path):
    run = fit(BONE, with_bones_window(prepared), SPLIT, tmp_path, quiet())
    assert all(np.isfinite(epoch["loss"]) for epoch in run.history)
    assert 0 <= run.history[-1]["study_auc"] <= 1


def test_pasted_and_drawn_blood_leave_bones_window_alone(tmp_path):
    skulls = with_bones_window(prepared_skulls(3))
    rows, rng = np.arange(len(skulls)), np.random.default_rng(0)
    config = replace(BONE, augment=replace(BONE.augment, synthetic=0.8))
    drawn = scenes(skulls, rows, config, 0)
    batch = load_batch(skulls, rows, 64, Bleeds(skulls, rows, 1.0, rng, drawn))
    assert not batch.genuine.all()
    assert batch.pictures.shape[1] == 4
    assert (batch.pictures[:, 3] * 255).round().unique().tolist() == [77]


def test_smote_makes_bones_window_too(prepared):
    grown, _ = oversample(with_bones_window(prepared), np.arange(20), Smote(EDH=4), 0)
    made = grown.pictures[grown.layout[20:]]
    assert made.shape[:2] == (2, 4)
    assert set(made[:, 3].ravel()) == {77}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"network": NetworkConfig(width=4)}, "in_channels = 4"),
        ({"augment": Augment(mix=0.3)}, "mix leaves bone's window alone"),
    ],
)
def test_settings_that_contradict_bones_window_are_refused(changed, words):
    with pytest.raises(ConfigError, match=words):
        replace(BONE, **changed)


def test_an_unknown_setting_is_refused():
    with pytest.raises(ConfigError, match="is unknown"):
        build(RunConfig, {"name": "x", "network": {"depth": 4}})
