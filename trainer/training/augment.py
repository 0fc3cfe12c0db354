"""Random changes that leave a head a head: mirror, affine moves, dim blood, contrast, noise.

A whole batch at a time on tensors, so that two cores are busy with the network instead.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample

from trainer.config import Augment

BRAIN = 0.47  # grey of 36 HU in the brain window: what blood fades into
OFTEN = 0.5  # of the slices get dimmer blood; the others keep theirs


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
        (slice, channel, rows, columns) in 0 ... 1.
    masks
        (slice, rows, columns) of 0 and 1, or (slice, map, rows, columns), the first of all blood.
    """
    count, channels = pictures.shape[:2]
    both = torch.cat((pictures, masks.reshape(count, -1, *masks.shape[-2:])), dim=1)
    grid = affine_grid(moves(count, config, rng), list(both.shape), align_corners=False)
    moved = grid_sample(both, grid, align_corners=False)
    pictures, moved = moved[:, :channels], moved[:, channels:]
    if config.dim:
        pictures = _dim(pictures, moved[:, 0], config, rng)
    return _grey(pictures, config, rng), (moved >= 0.5).float().reshape(masks.shape)


def _sometimes(rng: Generator, count: int) -> Tensor:
    """0 or an even random number in 0 ... 1 for each slice, (count, 1, 1, 1)."""
    often = torch.rand(count, 1, 1, 1, generator=rng) < OFTEN
    return torch.rand(count, 1, 1, 1, generator=rng) * often


def _dim(pictures: Tensor, mask: Tensor, config: Augment, rng: Generator) -> Tensor:
    """Fade blood towards brain, as it does with age and in the anaemic."""
    blood = avg_pool2d(mask[:, None], 3, stride=1, padding=1, count_include_pad=False)
    bright = (pictures - BRAIN).clamp(min=0)
    return pictures - config.dim * _sometimes(rng, len(pictures)) * blood * bright


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
