"""The loss of equations 4 and 5: focal on the scores, Dice on four mask branches.

In CT-ICH a slice with several types has one mask for all of them, so its type maps are unknown:
they are left out of the loss, while its "any" map and all of its scores count. Where a source knows
the type of each voxel, all maps count.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.config import Loss
from worker.munet.device import on
from worker.munet.network import Output

SMOOTH = 1.0  # one pixel: an empty map against an empty mask is right, not undefined


@dataclass(frozen=True)
class Target:
    """What the slices of a batch hold."""

    mask: Tensor  # (slice, rows, columns) float, 1 is blood of any type
    types: Tensor  # (slice, 5) float
    typed: Tensor | None = None  # (slice, 5, rows, columns) float, of slices whose pixels are known

    @property
    def masks(self) -> Tensor:
        """All masks, (slice, 1 or 6, rows, columns), that of any blood first."""
        any_mask = self.mask[:, None]
        return any_mask if self.typed is None else torch.cat((any_mask, self.typed), dim=1)

    def moved(self, masks: Tensor) -> "Target":
        """Return the same with other `masks`."""
        typed = None if self.typed is None else masks[:, 1:]
        return Target(masks[:, 0], self.types, typed)

    def to(self, device: torch.device) -> "Target":
        """Return the same on a device."""
        typed = None if self.typed is None else on(self.typed, device)
        return Target(on(self.mask, device), on(self.types, device), typed)

    @property
    def scores(self) -> Tensor:
        """Types and "any", (slice, 6)."""
        return torch.cat((self.types, self.types.amax(dim=1, keepdim=True)), dim=1)

    @property
    def known(self) -> Tensor:
        """Whether each map of a slice is known, (slice, 6): types of mixed slices seldom are."""
        single = (self.types.sum(dim=1, keepdim=True) <= 1) | self.by_pixel[:, None]
        return torch.cat((single.expand_as(self.types), torch.ones_like(single)), dim=1).float()

    @property
    def by_pixel(self) -> Tensor:
        """Whether the types of a slice's pixels are known, (slice,)."""
        if self.typed is None:
            return torch.zeros(len(self.types), dtype=torch.bool, device=self.types.device)
        return self.typed.flatten(1).amax(dim=1) > 0

    def maps(self) -> Tensor:
        """Return the mask below each of the slice's types and "any", (slice, 6, rows, columns)."""
        below = self.scores[:, :, None, None] * self.mask[:, None]
        if self.typed is None:
            return below
        known = torch.cat((self.typed, self.mask[:, None]), dim=1)
        return torch.where(self.by_pixel[:, None, None, None], known, below)


def focal(logits: Tensor, target: Tensor, gamma: float, alpha: float) -> Tensor:
    """Mean focal loss of independent yes-no scores (L_fl of equation 4).

    Parameters
    ----------
    logits, target
        (slice, 6).
    gamma
        How much an easy score is discounted; 0 is cross-entropy.
    alpha
        Weight of "yes"; "no" weighs 1 - alpha.
    """
    entropy = binary_cross_entropy_with_logits(logits, target, reduction="none")
    right = torch.exp(-entropy)  # probability given to what is true
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * (1 - right) ** gamma * entropy).mean()


def dice(both: Tensor, sizes: Tensor) -> Tensor:
    """Soft Dice (equation 5) of a common part and the sum of two sizes, in pixels."""
    return (2 * both + SMOOTH) / (sizes + SMOOTH)


def dice_loss(probability: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """1 - Dice: by slice where the mask has blood, and over the batch so that healthy ones count.

    Parameters
    ----------
    probability, target
        (slice, map, rows, columns).
    weight
        (slice, map); 0 where a map is unknown.
    """
    both, blood = (probability * target).sum((-2, -1)), target.sum((-2, -1))  # (slice, map)
    sizes = probability.sum((-2, -1)) + blood
    bloody = weight * (blood > 0)
    by_slice = ((1 - dice(both, sizes)) * bloody).sum() / bloody.sum().clamp(min=1e-6)
    counted = (weight > 0).float()
    over_batch = 1 - dice((both * counted).sum(dim=0), (sizes * counted).sum(dim=0))
    share = weight.amax(dim=0)
    return (by_slice + (over_batch * share).sum() / share.sum()) / 2


def volume_loss(probability: Tensor, target: Tensor) -> Tensor:
    """By how much two volumes differ, 0 ... 1: of each slice with blood, and of the whole batch.

    A bleed cut short costs as much as one drawn too large, wherever its voxels lie.

    Parameters
    ----------
    probability, target
        (slice, rows, columns).
    """
    found, blood = probability.sum((-2, -1)), target.sum((-2, -1))  # (slice,)
    bloody = (blood > 0).float()
    by_slice = (apart(found, blood) * bloody).sum() / bloody.sum().clamp(min=1e-6)
    return (by_slice + apart(found.sum(), blood.sum())) / 2


def apart(found: Tensor, blood: Tensor) -> Tensor:
    """Difference of two sizes in pixels against their sum."""
    return (found - blood).abs() / (found + blood + SMOOTH)


def mask_loss(logits: Tensor, target: Target, config: Loss) -> Tensor:
    """Return the loss of one branch, logits (slice, 6, rows, columns)."""
    maps = target.maps()
    weight = target.known * maps.new_tensor([1.0] * 5 + [config.any_weight])
    loss = map_loss(logits, maps, weight, config)
    if config.volume:
        loss = loss + config.volume * volume_loss(logits[:, -1].sigmoid(), target.mask)
    return loss


def map_loss(logits: Tensor, maps: Tensor, weight: Tensor, config: Loss) -> Tensor:
    """Dice and cross-entropy of some maps (slice, map, rows, columns), weight (slice, map)."""
    loss = dice_loss(logits.sigmoid(), maps, weight)
    if config.cross_entropy:
        entropy = binary_cross_entropy_with_logits(
            logits, maps, pos_weight=maps.new_tensor(config.positive_weight), reduction="none"
        ).mean((-2, -1))
        loss = loss + config.cross_entropy * (entropy * weight).sum() / weight.sum()
    return loss


def total_loss(output: Output, target: Target, config: Loss) -> Tensor:
    """Equation 4 over a batch."""
    loss = focal(output.scores, target.scores, config.gamma, config.alpha)
    for weight, logits in zip(config.branches, output.masks, strict=True):
        if weight:
            loss = loss + config.lambda_masks * weight * mask_loss(logits, target, config)
    return loss
