"""Random changes that leave a head a head: mirror, small affine moves, contrast, noise.

A whole batch at a time on tensors, so that two cores are busy with the network instead.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from trainer.config import Augment


def spread(rng: Generator, count: int, limit: float) -> Tensor:
    """Even random numbers in -limit ... limit, (count,)."""
    return (torch.rand(count, generator=rng) * 2 - 1) * limit


def moves(count: int, config: Augment, rng: Generator) -> Tensor:
    """Random affine matrices for `affine_grid`, (count, 2, 3)."""
    angle = spread(rng, count, math.radians(config.rotate_deg))
    tall = torch.exp(spread(rng, count, config.scale))
    wide = tall * torch.exp(spread(rng, count, config.scale / 3))
    shear = spread(rng, count, config.shear)
    side = torch.ones(count)
    if config.mirror:
        side = torch.where(torch.rand(count, generator=rng) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = torch.stack((side * wide * cos, -sin * tall + shear, sin * wide * side, tall * cos), 1)
    shifts = torch.stack([spread(rng, count, 2 * config.shift) for _ in range(2)], dim=1)
    return torch.cat((rows.view(count, 2, 2), shifts[:, :, None]), dim=2)


def augment(
    pictures: Tensor, masks: Tensor, config: Augment, rng: Generator
) -> tuple[Tensor, Tensor]:
    """Change pictures and masks alike in space, and the pictures in grey.

    Parameters
    ----------
    pictures
        (slice, 3, rows, columns) in 0 ... 1.
    masks
        (slice, rows, columns) of 0 and 1.
    """
    count = len(pictures)
    both = torch.cat((pictures, masks[:, None]), dim=1)
    grid = affine_grid(moves(count, config, rng), list(both.shape), align_corners=False)
    moved = grid_sample(both, grid, align_corners=False)
    return _grey(moved[:, :-1], config, rng), (moved[:, -1] >= 0.5).float()


def _grey(pictures: Tensor, config: Augment, rng: Generator) -> Tensor:
    """Change gamma, contrast and brightness for each slice, and add noise."""
    count = len(pictures)
    gamma, gain, lift = (
        spread(rng, count, config.contrast * share).view(-1, 1, 1, 1) for share in (1, 1, 0.3)
    )
    changed = pictures.clamp(0, 1) ** torch.exp(gamma) * (1 + gain) + lift
    if config.noise:
        amount = torch.rand(count, 1, 1, 1, generator=rng) * config.noise
        changed = changed + amount * torch.randn(changed.shape, generator=rng)
    return changed.clamp(0, 1)
