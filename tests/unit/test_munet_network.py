from itertools import pairwise

import pytest
import torch

from worker.munet.network import MUNet, NetworkConfig


@pytest.fixture(scope="module")
def paper() -> MUNet:
    return MUNet(NetworkConfig()).eval()


def test_the_encoder_has_the_papers_five_sizes(paper):
    with torch.inference_mode():
        maps = paper.encoder(torch.zeros(1, 3, 256, 256))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 128, 128),
        (128, 64, 64),
        (256, 32, 32),
        (512, 16, 16),
        (1024, 8, 8),
    ]


def test_the_decoder_climbs_from_8_to_128_pixels(paper):
    with torch.inference_mode():
        maps = paper.decoder(paper.encoder(torch.zeros(1, 3, 256, 256)))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (1024, 8, 8),
        (512, 16, 16),
        (256, 32, 32),
        (128, 64, 64),
        (64, 128, 128),
    ]


def test_encoder_parameters_follow_from_the_papers_channels(paper):
    sizes = [3, 64, 128, 256, 512, 1024]
    expected = sum(9 * a * b + 9 * b * b + 2 * 2 * b for a, b in pairwise(sizes))
    assert sum(p.numel() for p in paper.encoder.parameters()) == expected


def test_half_the_width_has_a_quarter_of_the_convolution_weights():
    def weights(width):
        blocks = MUNet(NetworkConfig(width=width)).encoder.blocks[1:]
        return sum(p.numel() for p in blocks.parameters() if p.ndim == 4)

    assert weights(32) == 4 * weights(16)


@pytest.mark.parametrize("fpn", [True, False])
@pytest.mark.parametrize("in_channels", [1, 3, 4])
def test_256_in_gives_four_256_masks_in_training(fpn, in_channels):
    network = MUNet(NetworkConfig(width=4, fpn=fpn, in_channels=in_channels)).train()
    output = network(torch.zeros(2, in_channels, 256, 256))
    assert [m.shape for m in output.masks] == [(2, 6, 256, 256)] * 4
    assert output.scores.shape == (2, 6)


def test_only_the_finest_mask_comes_out_in_eval_mode():
    network = MUNet(NetworkConfig(width=4)).eval()
    assert len(network(torch.zeros(1, 3, 64, 64)).masks) == 1


def test_every_parameter_is_trained_by_masks_and_scores():
    network = MUNet(NetworkConfig(width=4, dropout=0)).train()
    output = network(torch.rand(2, 3, 64, 64))
    (sum(m.square().sum() for m in output.masks) + output.scores.square().sum()).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


def test_a_network_without_width_is_refused():
    with pytest.raises(ValueError, match="shape"):
        NetworkConfig(width=0)
