"""Several networks of one shape that answer as one."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from worker.munet.network import MUNet, NetworkConfig, Output

Weights = Mapping[str, Tensor]
FIRST = "encoder.blocks.0.0.0.weight"  # the convolution over a slice's channels


class Ensemble(nn.Module):
    """Mean of the logits of several networks; one alone answers as itself."""

    def __init__(self, config: NetworkConfig, members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(MUNet(config) for _ in range(members))

    def forward(self, x: Tensor) -> Output:
        """Return the mean of every mask branch and of the scores, as `MUNet.forward`."""
        found = [member(x) for member in self.members]
        branches = zip(*(output.masks for output in found), strict=True)
        masks = tuple(torch.stack(branch).mean(dim=0) for branch in branches)
        return Output(masks, torch.stack([output.scores for output in found]).mean(dim=0))


def make(config: NetworkConfig, members: int) -> nn.Module:
    """Make the network that a card describes, with fresh weights."""
    return MUNet(config) if members == 1 else Ensemble(config, members)


def joined(members: Iterable[Weights]) -> dict[str, Tensor]:
    """Weights of an ensemble from those of its members."""
    parts = list(members)
    if len(parts) == 1:
        return dict(parts[0])
    return {f"members.{i}.{name}": v for i, part in enumerate(parts) for name, v in part.items()}


def widened(weights: Weights, in_channels: int) -> Weights:
    """Let a network take more channels than it learned from; it does not look at the others.

    Raises
    ------
    ValueError
        It learned from more.
    """
    first = weights[FIRST]
    outputs, inputs, *kernel = first.shape
    if inputs > in_channels:
        raise ValueError(f"it looks at {inputs} channels, {in_channels} are given")
    unseen = first.new_zeros((outputs, in_channels - inputs, *kernel))
    return {**weights, FIRST: torch.cat((first, unseen), dim=1)}


def halved(weights: Weights) -> dict[str, Tensor]:
    """Keep floating numbers in half precision, half as large on disk."""
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
