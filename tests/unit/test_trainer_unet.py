import pytest
import torch

from trainer.config import Loss, RunConfig
from trainer.training.losses import Target, total_loss
from trainer.training.run import baseline, make_network
from trainer.training.unet import parameters, plain_unet
from worker.munet.network import MUNet, NetworkConfig


@pytest.mark.slow
@pytest.mark.parametrize("width", [4, 16, 64])
def test_the_baseline_has_munets_budget(width):
    config = NetworkConfig(width=width)
    assert parameters(plain_unet(config)) == pytest.approx(parameters(MUNet(config)), rel=0.1)


def test_parameters_are_counted():
    assert parameters(torch.nn.Linear(3, 2)) == 3 * 2 + 2


@pytest.mark.parametrize("size", [32, 64])
def test_it_answers_in_munets_form(size):
    network = plain_unet(NetworkConfig(width=4)).eval()
    output = network(torch.rand(2, 3, size, size))
    assert [tuple(mask.shape) for mask in output.masks] == [(2, 6, size, size)]
    assert output.scores.shape == (2, 6)


def test_it_differs_from_the_run_beside_it_in_network_and_branches_alone():
    config = RunConfig("x", loss=Loss(branches=(0.1, 0.2, 0.3, 1.0)))
    other = baseline(config)
    assert (other.architecture, other.loss.branches) == ("unet", (1.0,))
    assert (other.stages, other.optimiser, other.network) == (
        config.stages,
        config.optimiser,
        config.network,
    )


def test_the_loss_that_trains_munet_trains_it():
    config = baseline(RunConfig("x", network=NetworkConfig(width=4)))
    network = make_network(config)
    target = Target(torch.ones(2, 32, 32), torch.eye(5)[:2])
    total_loss(network(torch.rand(2, 3, 32, 32)), target, config.loss).backward()
    assert all(p.grad is not None for p in network.parameters())
