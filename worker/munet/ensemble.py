"""Several networks of one shape that answer as one."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from worker.munet.network import MUNet, NetworkConfig, Output

Weights = Mapping[str, Tensor]


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


def halved(weights: Weights) -> dict[str, Tensor]:
    """Keep floating numbers in half precision, half as large on disk."""
    return {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
