import json
from dataclasses import replace

import pytest
import torch

from trainer.commands.measuring import own_patients
from trainer.config import ConfigError, Lineage, RunConfig, Stage
from trainer.datasets.splits import LeakError, Split
from trainer.experiments.begin import beginning, going_on
from trainer.experiments.export import Finished, training_record
from trainer.reports.evaluation_report import known
from trainer.training.run import Run, describe, described
from worker.munet import checkpoint
from worker.munet.card import Card, OperatingPoint, Scoring
from worker.munet.network import MUNet, NetworkConfig
from worker.munet.preprocessing import Preprocessing

pytestmark = pytest.mark.slow  # trains

CONFIG = RunConfig("again", network=NetworkConfig(width=4))


@pytest.fixture
def path(tmp_path):
    card = Card(
        "tiny",
        "",
        CONFIG.network,
        Preprocessing(),
        Scoring(),
        {"balanced": OperatingPoint()},
        "balanced",
        training={"patients": [1, 2]},
    )
    path = tmp_path / "tiny.safetensors"
    checkpoint.write(path, MUNet(CONFIG.network).state_dict(), card)
    return path


def test_a_run_begins_with_the_weights_of_a_checkpoint_and_says_which(path):
    config, weights = beginning(CONFIG, Split((1, 2), (3,)), path)
    network, card = checkpoint.read(path)
    run = Run.start(config, 5, begin=weights)
    pairs = zip(run.average.parameters(), network.parameters(), strict=True)
    assert config.begin == card.sha256
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_checkpoint_that_was_trained_on_a_held_out_patient_is_refused(path):
    with pytest.raises(LeakError, match=r"\[2\]"):
        beginning(CONFIG, Split((1,), (2,)), path)


def test_a_checkpoint_of_another_shape_is_refused(path):
    with pytest.raises(ConfigError, match="another shape"):
        beginning(RunConfig("wide", network=NetworkConfig(width=8)), Split((1, 2), ()), path)


def at_its_end(config, split, folder):
    run = Run.start(config, 5)
    run.epoch = config.epochs
    run.save(folder)
    describe(folder, config, split)
    return run


def test_a_run_goes_on_from_another_ones_average_and_names_it(tmp_path):
    split = Split((1, 2), (3,))
    before = at_its_end(CONFIG, split, tmp_path)
    other = replace(CONFIG, name="after", stages=(Stage(64, 3, 8),))
    config, weights = going_on(other, split, tmp_path)
    average = before.average.state_dict()
    assert all(torch.equal(value, average[name]) for name, value in weights.items())
    assert len(config.begin) == 64
    assert going_on(other, split, tmp_path)[0] == config


def test_a_run_on_other_patients_is_not_gone_on_with(tmp_path):
    at_its_end(CONFIG, Split((1, 2), (3,)), tmp_path)
    with pytest.raises(LeakError, match="other patients"):
        going_on(CONFIG, Split((1, 3), (2,)), tmp_path)


def test_a_run_that_has_not_ended_is_not_gone_on_with(tmp_path):
    split = Split((1, 2), (3,))
    Run.start(CONFIG, 5).save(tmp_path)
    describe(tmp_path, CONFIG, split)
    with pytest.raises(ConfigError, match="has trained 0 of"):
        going_on(CONFIG, split, tmp_path)


def test_a_run_of_another_shape_is_not_gone_on_with(tmp_path):
    split = Split((1, 2), (3,))
    at_its_end(CONFIG, split, tmp_path)
    with pytest.raises(ConfigError, match="another shape"):
        going_on(RunConfig("wide", network=NetworkConfig(width=8)), split, tmp_path)


OURS = {"name": "Ours", "licence": "in house", "cite": "", "scanners": ["CT"], "patients": 2}
MINE = {**OURS, "name": "Mine", "patients": 1}


def exported(config, split, sources, path):
    """Write a run's network with the card that says whom it is from."""
    network = MUNet(config.network)
    runs = [Finished(config, split, network, [])]
    card = checkpoint.read(path)[1]
    card = replace(card, name="child", training=training_record(runs, sources))
    child = path.with_name("child.safetensors")
    checkpoint.write(child, network.state_dict(), card)
    return child


@pytest.fixture
def child(path):
    """A checkpoint on patient 3 that began with one on 1 and 2."""
    network, card = checkpoint.read(path)
    card = replace(card, training={"patients": [1, 2], "sources": [OURS]})
    checkpoint.write(path, network.state_dict(), card)
    split = Split((3,), (4,))
    config, _ = beginning(CONFIG, split, path)
    return exported(config, split, [MINE], path)


def test_a_card_names_those_behind_the_first_weights_and_their_terms(child):
    training = checkpoint.read(child)[1].training
    assert training["patients"] == [1, 2, 3]
    assert [(s["name"], s["patients"]) for s in training["sources"]] == [("Mine", 1), ("Ours", 2)]
    assert "Ours" in training["data"]


def test_whom_a_grandparent_learned_from_can_not_be_held_out(child):
    with pytest.raises(LeakError, match=r"\[2\]"):
        beginning(CONFIG, Split((5,), (2,)), child)


def test_an_evaluation_says_who_was_behind_the_first_weights(child):
    assert known(checkpoint.read(child)[1], [1, 9]).trained_on == (1,)


def test_a_run_keeps_whom_its_first_weights_are_from(child, tmp_path):
    split = Split((5,), (6,))
    config, _ = beginning(CONFIG, split, child)
    at_its_end(config, split, tmp_path / "run")
    assert described(tmp_path / "run")[0].lineage.patients == (1, 2, 3)
    assert going_on(CONFIG, split, tmp_path / "run")[0].lineage == config.lineage


def test_weights_of_a_runs_own_patients_need_no_lineage(path):
    assert beginning(CONFIG, Split((1, 2), (3,)), path)[0].lineage == Lineage()


def test_a_card_that_can_not_say_whom_its_first_weights_learned_from_is_refused(child):
    network, card = checkpoint.read(child)
    config = {k: v for k, v in card.training["config"].items() if k != "lineage"}
    old = replace(card, training={**card.training, "patients": [3], "config": config})
    checkpoint.write(child, network.state_dict(), old)
    with pytest.raises(LeakError, match="too old to say"):
        beginning(CONFIG, Split((5,), (2,)), child)


def test_a_run_that_began_before_lineages_were_kept_goes_on(child, tmp_path):
    split = Split((5,), (6,))
    config, _ = beginning(CONFIG, split, child)
    run = Run.start(config, 5)
    run.epoch, run.split = 1, split
    run.save(tmp_path)
    stored = torch.load(tmp_path / "state.pt", weights_only=True)
    was = {k: v for k, v in json.loads(stored["config"]).items() if k != "lineage"}
    torch.save({**stored, "config": json.dumps(was)}, tmp_path / "state.pt")
    assert Run.resume(config, 5, tmp_path, split=split).epoch == 1


def test_only_whom_it_learned_from_itself_is_measured(child):
    assert own_patients(checkpoint.read(child)[1]) == [3]
