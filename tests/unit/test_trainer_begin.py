import pytest
import torch

from trainer.config import ConfigError, RunConfig
from trainer.datasets.splits import LeakError, Split
from trainer.experiments.begin import beginning
from trainer.training.run import Run
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
