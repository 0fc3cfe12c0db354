"""MUNet, the network of the IHSNet paper (section "Proposed MUNet architecture", figure 6).

An encoder of five blocks, a decoder with skip connections, four mask heads and a classifier that
sees every level. Where the paper is vague, the reading is stated beside the line it concerns.
Shapes in comments are for width 64 and a 256 x 256 input.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

LEVELS = 5
OUTPUTS = 6  # EDH, IPH, IVH, SAH, SDH, any


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a MUNet. The defaults are the paper's."""

    width: int = 64
    in_channels: int = 3
    fpn: bool = True
    dropout: float = 0.5
    slope: float = 0.001

    def __post_init__(self) -> None:
        """Refuse a network that can't be built."""
        if self.width < 2 or self.in_channels < 1 or not 0 <= self.dropout < 1:
            raise ValueError(f"no network has this shape: {self}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of C1 to C5: 64, 128, 256, 512, 1024 at width 64."""
        return tuple(self.width * 2**level for level in range(LEVELS))


class Output(NamedTuple):
    """Logits. `masks` holds the branches of X2 ... X5, the finest last; in eval mode only that."""

    masks: tuple[Tensor, ...]  # each (slice, 6, rows, columns) of the input
    scores: Tensor  # (slice, 6)


class CBL(nn.Sequential):
    """Convolution, batch normalisation, leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, slope: float) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(slope, inplace=True),
        )


class Encoder(nn.Module):
    """C1 ... C5; a convolution with stride 2 stands where max-pooling would.

    The paper writes padding 0, which can't halve 256 exactly five times; padding 1 can.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        sizes = (config.in_channels, *config.channels)
        self.blocks = nn.ModuleList(
            nn.Sequential(CBL(a, b, 2, config.slope), CBL(b, b, 1, config.slope))
            for a, b in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return C1 ... C5."""
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps


class DecoderBlock(nn.Module):
    """Up-sample, 1 x 1 convolution, concatenate the encoder's map, three CBL that reduce."""

    def __init__(self, deep: int, skip: int, slope: float) -> None:
        super().__init__()
        self.compress = nn.Conv2d(deep, skip, 1)
        self.blend = nn.Sequential(
            CBL(2 * skip, skip, 1, slope), CBL(skip, skip, 1, slope), CBL(skip, skip, 1, slope)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return a map of the skip's shape."""
        # Compressing first gives the same map as compressing after a linear up-sampling, for a
        # quarter of the work.
        x = interpolate(self.compress(x), skip.shape[-2:], mode="bilinear", align_corners=False)
        return self.blend(torch.cat((x, skip), dim=1))  # type: ignore[no-any-return]


class Decoder(nn.Module):
    """X1 ... X5: the 8 x 8 level first, the 128 x 128 level last."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        deepest_first = config.channels[::-1]
        self.deepest = CBL(deepest_first[0], deepest_first[0], 1, config.slope)
        self.blocks = nn.ModuleList(
            DecoderBlock(deep, skip, config.slope) for deep, skip in pairwise(deepest_first)
        )

    def forward(self, encoded: list[Tensor]) -> list[Tensor]:
        """Return X1 ... X5."""
        maps = [self.deepest(encoded[-1])]
        for block, skip in zip(self.blocks, encoded[-2::-1], strict=True):
            maps.append(block(maps[-1], skip))
        return maps


class FeaturePyramid(nn.Module):
    """Bring X2 ... X5 to one width and add them top-down (the "FPN" of table 8)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.width = 2 * config.width
        self.lateral = nn.ModuleList(
            nn.Conv2d(channels, self.width, 1) for channels in config.channels[-2::-1]
        )

    def forward(self, decoded: list[Tensor]) -> list[Tensor]:
        """Return one map for each of X2 ... X5, all of one width."""
        maps: list[Tensor] = []
        for lateral, x in zip(self.lateral, decoded, strict=True):
            y = lateral(x)
            if maps:
                y = y + interpolate(maps[-1], y.shape[-2:], mode="bilinear", align_corners=False)
            maps.append(y)
        return maps


class Classifier(nn.Module):
    """Pooled X1 ... X5 to fully connected layers to six logits.

    Mean and maximum are pooled side by side: the mean alone loses a bleed of a few pixels.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        pooled = 2 * sum(config.channels)
        self.layers = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(pooled, 8 * config.width),
            nn.LeakyReLU(config.slope),
            nn.Dropout(config.dropout),
            nn.Linear(8 * config.width, OUTPUTS),
        )

    def forward(self, decoded: list[Tensor]) -> Tensor:
        """Return (slice, 6) logits."""
        pooled = [pool for x in decoded for pool in (x.mean((-2, -1)), x.amax((-2, -1)))]
        return self.layers(torch.cat(pooled, dim=1))  # type: ignore[no-any-return]


class MUNet(nn.Module):
    """Masks and scores for five types of hemorrhage and for "any" from one picture."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.pyramid = FeaturePyramid(config) if config.fpn else None
        sizes = config.channels[-2::-1] if self.pyramid is None else [self.pyramid.width] * 4
        self.heads = nn.ModuleList(nn.Conv2d(size, OUTPUTS, 1) for size in sizes)
        self.classifier = Classifier(config)

    def forward(self, x: Tensor) -> Output:
        """Return the logits of every mask branch and of the classifier.

        Parameters
        ----------
        x
            (slice, in_channels, rows, columns) float in 0 ... 1; both sides multiples of 32.
        """
        # x: (slice, 3, 256, 256)
        encoded = self.encoder(x)  # (slice, 64, 128, 128) ... (slice, 1024, 8, 8)
        decoded = self.decoder(encoded)  # (slice, 1024, 8, 8) ... (slice, 64, 128, 128)
        levels = decoded[1:] if self.pyramid is None else self.pyramid(decoded[1:])
        branches = [head(level) for head, level in zip(self.heads, levels, strict=True)]
        if not self.training:
            branches = branches[-1:]  # the finest is the prediction, the others only train
        masks = tuple(
            interpolate(branch, x.shape[-2:], mode="bilinear", align_corners=False)
            for branch in branches
        )  # each (slice, 6, 256, 256)
        return Output(masks, self.classifier(decoded))
