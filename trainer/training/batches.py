"""From row numbers to tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trainer.datasets.cache import Prepared
from trainer.training.losses import Target
from trainer.training.paste import BRAIN, donors, paste, scene
from trainer.training.sampling import positive_weights
from trainer.training.synthetic.scenes import Made
from worker.munet.inference import to_input

WHITE = 250  # grey: bone, but for what interpolation has taken from it
BONE_GREY = (1300.0, 3000.0)  # 590 to 1,390 HU in the brain window
NOTHING: Mapping[int, Made] = MappingProxyType({})


@dataclass(frozen=True)
class Batch:
    """Slices as the network sees them, and which of them are untouched slices of the release."""

    pictures: Tensor  # (slice, channel, size, size)
    target: Target
    genuine: npt.NDArray[np.bool_]  # (slice,)


def gather(
    prepared: Prepared, rows: npt.NDArray[np.intp], mix: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Channels of some slices, half of them moved or thickened along the normal.

    A slice keeps at least half of itself, so its mask and types stay true.

    Returns
    -------
    array
        (slice, channel, rows, columns), a copy.
    """
    layout = prepared.layout[rows]
    grey = prepared.pictures[layout]
    if not mix:
        return grey
    # A synthetic slice has channels of its own and no neighbours.
    for index in np.flatnonzero((rng.random(len(rows)) < 0.5) & (prepared.patients[rows] > 0)):
        below, above = rng.uniform(0, mix, 2)
        if below + above <= 0.5:
            chain = (prepared.layout[layout[index, 0], 0], *layout[index])
            wide = np.array([*chain, prepared.layout[layout[index, 2], 2]])
            five = with_bone(prepared.pictures[wide], rng)
            mixed = below * five[:-2] + (1 - below - above) * five[1:-1] + above * five[2:]
            grey[index] = np.rint(np.minimum(mixed, 255))
    return grey


def with_bone(pictures: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Give bone its weight in a mean of slices, which the window has taken away.

    A tenth of the skull's edge beside brain is a bright crescent, as fresh blood would be.
    """
    return np.where(pictures >= WHITE, np.float32(rng.uniform(*BONE_GREY)), pictures)


class Bleeds:
    """A share of healthy slices gets the blood of another patient.

    Parameters
    ----------
    rows
        Training slices; only they give blood.
    share
        Of the healthy slices of a batch.
    drawn
        Slices that get drawn bleeds instead, by row.
    """

    def __init__(
        self,
        prepared: Prepared,
        rows: npt.NDArray[np.intp],
        share: float,
        rng: np.random.Generator,
        drawn: Mapping[int, Made] = NOTHING,
    ) -> None:
        self.prepared, self.share, self.rng, self.drawn = prepared, share, rng, drawn
        self.donors = donors(prepared, rows)
        weights = positive_weights(prepared.types[self.donors]) if len(self.donors) else np.ones(0)
        self.chances = weights / max(weights.sum(), 1e-9)

    def into(
        self,
        row: int,
        picture: npt.NDArray[np.uint8],
        mask: npt.NDArray[np.bool_],
        types: npt.NDArray[np.bool_],
    ) -> bool:
        """Perhaps change one slice of a batch in place; tell whether it was."""
        if made := self.drawn.get(row):
            picture[:BRAIN], mask[:], types[:] = made.pictures, made.kinds > 0, made.types
            return True
        if not len(self.donors) or types.any() or self.rng.random() >= self.share:
            return False
        donor = int(self.rng.choice(self.donors, p=self.chances))
        pasted = paste(scene(self.prepared, donor), scene(self.prepared, row), self.rng)
        if pasted is None:
            return False
        picture[:BRAIN], mask[:], types[:] = pasted.pictures, pasted.masks[1] > 0, pasted.types
        return True

    def kinds(self, row: int) -> npt.NDArray[np.uint8] | None:
        """Types of the pixels of a slice with several, where they are known."""
        made = self.drawn.get(row)
        if made is None:
            return self.prepared.kinds.get(row)
        return made.kinds if made.types.sum() > 1 else None


def load_batch(
    prepared: Prepared, rows: npt.NDArray[np.intp], size: int, bleeds: Bleeds, mix: float = 0.0
) -> Batch:
    """Gather slices, paste blood into some, and bring them to a stage's size."""
    grey = gather(prepared, rows, mix, bleeds.rng)
    blood, kinds = prepared.masks[rows], prepared.types[rows]
    changed = [
        bleeds.into(int(row), *scene) for row, *scene in zip(rows, grey, blood, kinds, strict=True)
    ]
    pictures, mask = to_input(torch.from_numpy(grey)), torch.from_numpy(blood).float()
    if size != pictures.shape[-1]:
        pictures = interpolate(pictures, (size, size), mode="area")
        mask = interpolate(mask[:, None], (size, size), mode="area")[:, 0]
    typed = by_type([bleeds.kinds(int(row)) for row in rows], kinds.shape[1], size)
    target = Target(mask, torch.from_numpy(kinds).float(), typed)
    return Batch(pictures, target, ~np.array(changed))


def by_type(kinds: Sequence[npt.NDArray[np.uint8] | None], types: int, size: int) -> Tensor | None:
    """Masks of each type where a slice's several types are known, (slice, 5, size, size)."""
    known = [found for found in kinds if found is not None]
    if not known:
        return None
    unknown = np.zeros_like(known[0])
    every = torch.arange(1, types + 1)[:, None, None]
    pixels = np.stack([unknown if found is None else found for found in kinds])
    masks = (torch.from_numpy(pixels)[:, None] == every).float()
    return interpolate(masks, (size, size), mode="area")
