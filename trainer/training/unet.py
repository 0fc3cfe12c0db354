"""A plain U-Net (Ronneberger et al. 2015): the baseline that MUNet's gain is measured against.

As plain as it can be while the same loop trains it: no feature pyramid, one mask branch, a
classifier on the deepest features alone. Two things are MUNet's, so that only the design differs:
the number of parameters, and the finest grid, 128 x 128 for a picture of 256 x 256. MUNet gets
there with a stride of 2; here 2 x 2 pixels become channels, which loses nothing and costs as much.
Shapes in comments are for 16 channels and a 256 x 256 input.
"""

from collections.abc import Iterator
from itertools import count, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pixel_unshuffle

from worker.munet.network import LEVELS, OUTPUTS, MUNet, NetworkConfig, Output

FINEST = 2  # the side of the pixels that become channels


class Pair(nn.Sequential):
    """Twice convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(*_convolution(inputs, outputs), *_convolution(outputs, outputs))


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """Masks and scores in MUNet's form, of a U-Net.

    Parameters
    ----------
    channels
        Of the five levels, the finest first.
    """

    def __init__(self, channels: tuple[int, ...], in_channels: int, dropout: float) -> None:
        super().__init__()
        sizes = (in_channels * FINEST**2, *channels)
        self.down = nn.ModuleList(Pair(a, b) for a, b in pairwise(sizes))
        upwards = list(pairwise(channels[::-1]))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in upwards)
        self.up = nn.ModuleList(Pair(2 * b, b) for _, b in upwards)
        self.head = nn.Conv2d(channels[0], OUTPUTS, 1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(channels[-1], OUTPUTS))

    def forward(self, x: Tensor) -> Output:
        """Return one mask branch and the scores, logits.

        Parameters
        ----------
        x
            (slice, in_channels, rows, columns) float in 0 ... 1; both sides multiples of 32.
        """
        maps = [self.down[0](pixel_unshuffle(x, FINEST))]  # (slice, 16, 128, 128)
        for block in self.down[1:]:
            maps.append(block(max_pool2d(maps[-1], 2)))  # ... (slice, 256, 8, 8)
        y = deepest = maps.pop()
        for grow, block in zip(self.grow, self.up, strict=True):
            y = block(torch.cat((grow(y), maps.pop()), dim=1))  # ... (slice, 16, 128, 128)
        mask = interpolate(self.head(y), x.shape[-2:], mode="bilinear", align_corners=False)
        return Output((mask,), self.classifier(deepest.mean((-2, -1))))


def parameters(network: nn.Module) -> int:
    """Count the numbers that training changes."""
    return sum(p.numel() for p in network.parameters())


def same_budget(config: NetworkConfig) -> tuple[int, ...]:
    """Return the channels of the U-Net whose parameter count is nearest to this MUNet's."""
    with torch.device("meta"):  # counted, never filled
        wanted, tried = parameters(MUNet(config)), []
        for channels in _widths():
            size = parameters(UNet(channels, config.in_channels, config.dropout))
            tried.append((abs(size - wanted), channels))
            if size >= wanted:
                break
    return min(tried)[1]


def _widths() -> Iterator[tuple[int, ...]]:
    """Ever wider networks; quarter steps, since whole ones jump by more than a tenth."""
    for quarters in count(4):
        yield tuple(round(quarters * 2**level / 4) for level in range(LEVELS))


def plain_unet(config: NetworkConfig) -> UNet:
    """Make the U-Net of the same budget as a MUNet."""
    return UNet(same_budget(config), config.in_channels, config.dropout)
