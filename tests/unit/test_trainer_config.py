import json

import pytest
import torch

from trainer.config import ConfigError, RunConfig, build_stored, load_config
from trainer.datasets.splits import Split
from trainer.experiments.export import finished
from trainer.training.run import RECORD, STATE, Run, averaged, check_record, describe, described
from worker.munet import checkpoint
from worker.munet.network import NetworkConfig

CONFIG, SPLIT = RunConfig("tiny", network=NetworkConfig(width=4)), Split((1, 2), (3,))


def as_of_0_1_0(values, types="maps", kernel=0.0):
    loss = {"types": types, "within_weight": 0.5, **values["loss"]}
    return {**values, "loss": loss, "augment": {**values["augment"], "kernel": kernel}}


def test_a_run_that_did_not_use_the_settings_that_are_gone_is_read_and_goes_on(tmp_path):
    Run.start(CONFIG, 5).save(tmp_path)
    describe(tmp_path, CONFIG, SPLIT)
    was = as_of_0_1_0(CONFIG.to_json())
    stored = torch.load(tmp_path / STATE, weights_only=True)
    torch.save({**stored, "config": json.dumps(was)}, tmp_path / STATE)
    (tmp_path / RECORD).write_text(json.dumps({"config": was, **SPLIT.record()}))
    assert described(tmp_path) == (CONFIG, SPLIT)
    check_record(tmp_path, CONFIG, SPLIT)
    assert Run.resume(CONFIG, 5, tmp_path).config == CONFIG


@pytest.mark.parametrize(
    ("used", "unknown"),
    [({"types": "within"}, r"loss\.types: is unknown"), ({"kernel": 1.2}, r"augment\.kernel: is")],
)
def test_a_run_that_used_a_setting_that_is_gone_is_refused(used, unknown):
    with pytest.raises(ConfigError, match=unknown):
        build_stored(as_of_0_1_0(CONFIG.to_json(), **used))


def test_the_settings_in_the_shipped_card_are_those_of_a_run():
    training = checkpoint.read_card(checkpoint.SHIPPED).training
    assert build_stored(training["config"]).network.in_channels == 3
    assert all(build_stored(recipe).stages for recipe in training["recipes"])


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("stages = []", "stages"),
        ("[[stages]]\nepochs = 0", r"stages\.0\.epochs"),
        ("[[stages]]\nepochs = 1\n[[stages]]\nepochs = -1", r"stages\.1\.epochs"),
        ("[[stages]]\nbatch = 0", r"stages\.0\.batch"),
        ("[[stages]]\nbatch = 1", r"stages\.0\.batch"),
        ("[[stages]]\nsize = 0", r"stages\.0\.size"),
        ("[[stages]]\nsize = 100", r"stages\.0\.size: .*multiple of 32"),
        ("[optimiser]\nrate = 0", r"optimiser\.rate"),
        ("[optimiser]\nrate = nan", r"optimiser\.rate"),
        ("[optimiser]\naverage = 1.5", r"optimiser\.average"),
        ("[sampling]\npositive_share = 1.5", r"sampling\.positive_share"),
        ("[sampling]\nslices = -720", r"sampling\.slices"),
        ("[augment]\npaste = 40", r"augment\.paste"),
        ("[augment]\nsynthetic = -0.3", r"augment\.synthetic"),
        ("[augment]\ndim = 2", r"augment\.dim"),
        ("[augment]\nmix = 1.01", r"augment\.mix"),
        ("[augment]\nnoise = -0.1", r"augment\.noise"),
        ("[network]\ndropout = 1.5", "dropout"),
        ("[loss]\nany_weight = -5", r"loss\.any_weight"),
        ("[loss]\nbranches = [1, 1, 1, -1]", r"loss\.branches\.3"),
        ("[loss]\nbranches = [1, 1]", "branches"),
        ("[smote]\nEDH = -1", r"smote\.EDH"),
        ("seed = -1", "seed"),
    ],
)
def test_a_value_that_no_run_can_use_is_refused_by_its_name(tmp_path, words, setting):
    (tmp_path / "own.toml").write_text(words)
    with pytest.raises(ConfigError, match=rf"own\.toml: .*{setting}"):
        load_config(str(tmp_path / "own.toml"))


def test_a_run_that_trained_nothing_is_not_finished(tmp_path):
    describe(tmp_path, CONFIG, SPLIT)
    with pytest.raises(ConfigError, match="has trained 0 of 60 epochs"):
        averaged(CONFIG, tmp_path)
    none = CONFIG.to_json() | {"stages": []}
    (tmp_path / RECORD).write_text(json.dumps({"config": none, **SPLIT.record()}))
    with pytest.raises(ConfigError, match="stages"):
        finished(tmp_path)
