import json

import pytest
import torch

from trainer.config import ConfigError, RunConfig, build_stored
from trainer.datasets.splits import Split
from trainer.training.run import RECORD, STATE, Run, check_record, describe, described
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
