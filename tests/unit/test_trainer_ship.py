import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from tests.support.ctich import TINY, make
from trainer.cli import app
from trainer.config import ConfigError, load_config
from trainer.datasets.cache import prepare
from trainer.datasets.sources import read_release
from trainer.datasets.splits import LeakError
from trainer.experiments import unseen
from trainer.experiments.crossval import Which, crossval, learning, plan
from trainer.experiments.recipes import folds_in, together
from trainer.experiments.ship import ship
from trainer.experiments.unseen import Reading, answers
from trainer.training.run import averaged, describe, described
from worker.munet import checkpoint
from worker.munet.ensemble import Ensemble
from worker.munet.inference import Predictor
from worker.munet.network import MUNet, NetworkConfig

pytestmark = pytest.mark.slow  # trains

PATIENTS = {1: ("EDH",), 2: (), 3: ("EDH",), 4: (), 5: ("SDH",), 6: ()}
CHANGED = ("5 HU more", "10 mm slices")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ship")
    (folder / "tiny.toml").write_text(TINY)
    return folder


@pytest.fixture(scope="module")
def config(home):
    return load_config(str(home / "tiny.toml"))


@pytest.fixture(scope="module")
def release(home):
    return read_release(make(home / "data", PATIENTS))


@pytest.fixture(scope="module")
def prepared(home, release, config):
    return prepare(release, config.preprocessing, home / "cache")


@pytest.fixture(scope="module")
def run(home, release, config, prepared):
    crossval([config], prepared, release, Which(home / "run", 2), quiet())
    return home / "run"


@pytest.fixture(scope="module")
def shipped(home, run):
    command = ["ship", "--data", home / "data", "--run", run, "--out", home / "all.safetensors"]
    command += ["--members", "2", "--changed", ";".join(CHANGED)]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    return home / "all.safetensors"


def quiet():
    return Console(file=io.StringIO())


def test_the_checkpoint_averages_the_folds_and_answers_as_one(shipped, release):
    network, card = checkpoint.read(shipped)
    assert isinstance(network, Ensemble)
    assert card.members == 2
    hu = np.full((3, 64, 64), 40.0, np.float32)
    assert 0 <= Predictor(shipped).predict(hu, np.arange(3) * 5.0).probabilities["any"] <= 1


def test_the_card_says_who_trained_it_and_that_nobody_was_kept(shipped):
    _, card = checkpoint.read(shipped)
    assert card.training["patients"] == list(PATIENTS)
    assert card.training["validation_patients"] == []
    assert "never saw" in card.metrics["crossval"]["note"]


def test_the_card_says_what_to_expect_at_each_operating_point(shipped):
    _, card = checkpoint.read(shipped)
    expected = card.metrics["crossval"]["expected"]
    assert set(expected) == set(card.operating_points)
    kinds = expected["balanced"]
    assert (kinds["sensitivity"]["cases"], kinds["specificity"]["cases"]) == (3, 3)
    low, high = kinds["specificity"]["ci95"]
    assert low < kinds["specificity"]["median"] <= high


def test_every_patient_is_asked_of_the_network_that_never_saw_them(run, release, config):
    reading = Reading(config.preprocessing, CHANGED)
    for fold in folds_in(run):
        found = list(answers(fold, release, reading))
        assert tuple(patient.patient for patient in found) == fold.split.validation
        assert all(tuple(patient.changed) == CHANGED for patient in found)
        assert all(len(p.changed["10 mm slices"].maps.logits) == 1 for p in found)


def test_what_was_answered_once_is_not_asked_again(run, release, config, monkeypatch):
    reading = Reading(config.preprocessing)
    fold = folds_in(run)[0]
    before = [patient.seen.maps.logits for patient in answers(fold, release, reading)]
    monkeypatch.setattr(unseen, "ask", lambda *_: pytest.fail("asked again"))
    after = [patient.seen.maps.logits for patient in answers(fold, release, reading)]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


def test_another_way_to_feed_a_network_is_asked_anew_and_so_is_another_network(config):
    networks = [MUNet(config.network), MUNet(config.network)]
    feedings = [config.preprocessing, load_config("worker").preprocessing]
    digests = {Reading(feeding).digest(network) for feeding in feedings for network in networks}
    assert len(digests) == 4


@pytest.fixture(scope="module")
def other(home, run, config, prepared, release):
    """A finished run of another recipe that goes on from the first."""
    second = replace(config, name="second", augment=replace(config.augment, noise=0.1))
    crossval([second], prepared, release, Which(home / "second", 2, before=run), quiet())
    return home / "second"


def test_two_recipes_answer_as_the_mean_of_both(run, other, release, config):
    folds = together(folds_in(run), [other])
    assert [fold.others for fold in folds] == [(other / f"fold-{n}",) for n in range(2)]
    reading = Reading(config.preprocessing)
    for fold, *alone in zip(folds, folds_in(run), folds_in(other), strict=True):
        patient = next(answers(fold, release, reading)).seen.maps.logits
        each = [next(answers(one, release, reading)).seen.maps.logits for one in alone]
        assert isinstance(fold.network(3), Ensemble)
        assert not np.array_equal(*each)
        assert np.abs(patient - np.mean(each, axis=0)).max() < 0.5  # evidence is of the mean map


def test_members_come_from_each_recipe_in_turn_and_the_card_names_both(home, run, other):
    command = ["ship", "--data", home / "data", "--run", run, "--run", other]
    command += ["--out", home / "two.safetensors", "--members", "2"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    network, card = checkpoint.read(home / "two.safetensors")
    first, second = averaged_values(run / "fold-0"), averaged_values(other / "fold-1")
    assert torch.equal(next(network.members[0].parameters()), first)
    assert torch.equal(next(network.members[1].parameters()), second)
    recipes = [recipe["name"] for recipe in card.training["recipes"]]
    assert recipes == ["tiny-fold-0", "second-fold-1"]
    assert card.name == "munet-tiny-second"


def test_a_recipe_with_bones_window_answers_beside_one_without(home, run, config, release):
    looking = replace(config.preprocessing, channels="bone")
    wide = replace(config.network, in_channels=4)
    third = replace(config, name="third", network=wide, preprocessing=looking)
    seen = prepare(release, looking, home / "cache")
    crossval([third], seen, release, Which(home / "third", 2), quiet())
    target = home / "mixed.safetensors"
    with pytest.raises(ConfigError, match="looks at 4 channels, 3 are given"):
        ship([run, home / "third"], release, Reading(config.preprocessing), 2, target)
    card = ship([run, home / "third"], release, Reading(looking), 2, target)
    assert (card.network.in_channels, card.preprocessing.channels) == (4, "bone")
    network, _ = checkpoint.read(target)
    first = next(network.members[0].parameters())
    assert torch.equal(first[:, :3], averaged_values(run / "fold-0"))
    assert not first[:, 3:].any()
    hu = np.full((3, 64, 64), 40.0, np.float32)
    assert 0 <= Predictor(target).predict(hu, np.arange(3) * 5.0).probabilities["any"] <= 1


def averaged_values(place):
    config, _ = described(place)
    return next(averaged(config, place).network.parameters()).half().float()


def test_a_cross_validation_is_evaluated_with_another_recipe_beside(home, run, other):
    command = ["crossval", "--data", home / "data", "--cache", home / "cache", "--run", run]
    command += ["--preset", home / "tiny.toml", "--count", "2", "--with", other]
    command += ["--json", home / "both.json", "--html", home / "both.html"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    names = [described(place / "fold-0")[0].name.removesuffix("-fold-0") for place in (run, other)]
    made = json.loads((home / "both.json").read_text())["model"]["name"]
    assert made == f"{'-'.join(names)}-munet-crossval"
    assert f"Cross-validation of {' and '.join(names)}" in (home / "both.html").read_text()


def test_a_recipe_that_learned_from_other_patients_is_refused(run, other, tmp_path):
    shutil.copytree(other / "fold-0", tmp_path / "fold-1")
    shutil.copytree(other / "fold-1", tmp_path / "fold-0")
    with pytest.raises(LeakError, match="learned from other patients"):
        together(folds_in(run), [tmp_path])


def test_a_recipe_of_another_shape_is_refused(run, other):
    wide = [
        replace(fold, config=replace(fold.config, network=NetworkConfig(width=64)))
        for fold in folds_in(run)
    ]
    with pytest.raises(ConfigError, match="another shape"):
        together(wide, [other])


def test_recipes_that_differ_in_dropout_alone_answer_together(run, other):
    folds = folds_in(run)
    network = replace(folds[0].config.network, dropout=0.9)
    dropping = [replace(fold, config=replace(fold.config, network=network)) for fold in folds]
    assert all(fold.others for fold in together(dropping, [other]))


def test_a_recipe_that_is_not_there_is_told_before_anything_is_trained(home, run, tmp_path):
    command = ["crossval", "--data", home / "data", "--cache", home / "cache"]
    command += ["--run", tmp_path / "new", "--preset", home / "tiny.toml", "--count", "2"]
    done = CliRunner().invoke(app, [str(word) for word in (*command, "--with", tmp_path / "none")])
    assert done.exit_code == 2
    assert "holds no cross-validation" in done.output
    assert not (tmp_path / "new").exists()
    done = CliRunner().invoke(app, [str(word) for word in (*command, "--with", run, "--baseline")])
    assert done.exit_code == 2
    assert "--with makes a mean of several" in done.output


def test_no_recipe_may_have_more_members_than_another(home, run, other):
    command = ["ship", "--data", home / "data", "--run", run, "--run", other]
    command += ["--out", home / "one.safetensors", "--members", "1"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 2
    assert "1 members of 2 recipes" in done.output


def test_a_fold_that_is_not_at_its_end_is_named(run, release, config, prepared, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for fold in plan(config, prepared, Which(tmp_path / "run", 2))[1:]:
        (fold.place / "state.pt").unlink()
    reading = Reading(config.preprocessing)
    with pytest.raises(ConfigError, match=r"fold-1: has trained 0 of 1 epochs"):
        ship([tmp_path / "run"], release, reading, 2, tmp_path / "x.safetensors")


@pytest.mark.parametrize("fold", [0, 1])
def test_of_a_half_finished_cross_validation_is_told_what_is_missing(home, run, tmp_path, fold):
    shutil.copytree(run / f"fold-{fold}", tmp_path / "run" / f"fold-{fold}")
    command = ["ship", "--data", str(home / "data"), "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "x.safetensors")])
    assert done.exit_code == 2, done.output
    assert "folds at their ends: 1 of about 2, which hold 3 of 6 patients out" in done.output
    assert "goes on with the same --count, --preset and --data" in done.output


def test_a_fold_that_still_trains_is_none_that_is_at_its_end(run, config, prepared, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for fold in plan(config, prepared, Which(tmp_path / "run", 2)):
        describe(fold.place, fold.config, learning(fold, prepared))
    with pytest.raises(ConfigError, match="folds at their ends: 0, which hold 0 of 6 patients"):
        folds_in(tmp_path / "run")


def test_a_patient_in_two_folds_is_refused(run, tmp_path):
    for name in ("fold-0", "fold-1"):
        shutil.copytree(run / "fold-0", tmp_path / name)
    with pytest.raises(ConfigError, match="each patient must be held out by one fold"):
        folds_in(tmp_path)


def test_more_members_than_folds_are_refused_before_anything_is_asked(home, run):
    command = ["ship", "--data", str(home / "data"), "--run", str(run), "--out", "x.safetensors"]
    done = CliRunner().invoke(app, [*command, "--members", "4"])
    assert done.exit_code == 2
    assert "has 2 folds, too few to average 4" in done.output


def test_folds_of_different_settings_are_not_averaged(run, tmp_path):
    for name in ("fold-0", "fold-1"):
        shutil.copytree(run / name, tmp_path / name)
    record = json.loads((tmp_path / "fold-1" / "run.json").read_text())
    record["config"]["seed"] += 1
    (tmp_path / "fold-1" / "run.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="different settings"):
        folds_in(tmp_path)


def test_the_report_counts_what_changes_turned_and_expects_the_next_hundred(home, run):
    command = ["crossval", "--data", str(home / "data"), "--cache", str(home / "cache")]
    command += ["--run", str(run), "--preset", str(home / "tiny.toml"), "--count", "2"]
    done = CliRunner().invoke(app, [*command, "--changed", ";".join(CHANGED)])
    assert done.exit_code == 0, done.output
    figures = json.loads((run / "crossval.json").read_text())
    assert set(figures["perturbed"][0]["changed"]) == set(CHANGED)
    assert "of the next 100" in (run / "crossval.html").read_text()
    assert "The same head, the same answer" in (run / "crossval.html").read_text()


def test_an_unknown_change_is_refused_with_those_that_are_known(home, run):
    command = ["ship", "--data", str(home / "data"), "--run", str(run), "--out", "x.safetensors"]
    done = CliRunner().invoke(app, [*command, "--changed", "upside down"])
    assert done.exit_code == 2
    assert "5 HU more" in " ".join(done.output.replace("│", " ").split())


def test_nobody_of_the_folds_can_be_left_out_of_what_is_shipped(run, home, tmp_path):
    command = ["ship", "--data", home / "data", "--run", run, "--members", "2"]
    command += ["--out", tmp_path / "x.safetensors", "--without", "5"]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 2
    assert "patients [5] are not in these data" in done.output
