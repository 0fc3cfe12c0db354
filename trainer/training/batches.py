"""From row numbers to tensors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from trainer.datasets.cache import Prepared
from trainer.training.losses import Target
from trainer.training.paste import donors, paste, scene
from trainer.training.sampling import positive_weights
from worker.munet.inference import to_input


@dataclass(frozen=True)
class Batch:
    """Slices as the network sees them, and which of them are untouched slices of the release."""

    pictures: Tensor  # (slice, 3, size, size)
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
        (slice, 3, rows, columns), a copy.
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
            five = prepared.pictures[wide].astype(np.float32)
            mixed = below * five[:-2] + (1 - below - above) * five[1:-1] + above * five[2:]
            grey[index] = np.rint(mixed)
    return grey


class Bleeds:
    """A share of healthy slices gets the blood of another patient.

    Parameters
    ----------
    rows
        Training slices; only they give blood.
    share
        Of the healthy slices of a batch.
    """

    def __init__(
        self,
        prepared: Prepared,
        rows: npt.NDArray[np.intp],
        share: float,
        rng: np.random.Generator,
    ) -> None:
        self.prepared, self.share, self.rng = prepared, share, rng
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
        if not len(self.donors) or types.any() or self.rng.random() >= self.share:
            return False
        donor = int(self.rng.choice(self.donors, p=self.chances))
        made = paste(scene(self.prepared, donor), scene(self.prepared, row), self.rng)
        if made is None:
            return False
        picture[:], mask[:], types[:] = made.pictures, made.masks[1] > 0, made.types
        return True


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
    typed = by_type(prepared, rows, size)
    target = Target(mask, torch.from_numpy(kinds).float(), typed)
    return Batch(pictures, target, ~np.array(changed))


def by_type(prepared: Prepared, rows: npt.NDArray[np.intp], size: int) -> Tensor | None:
    """Masks of each type where a slice's several types are known, (slice, 5, size, size)."""
    known = {at: row for at, row in enumerate(rows.tolist()) if row in prepared.kinds}
    if not known:
        return None
    kinds = np.zeros((len(rows), *prepared.masks.shape[1:]), np.uint8)
    for at, row in known.items():
        kinds[at] = prepared.kinds[row]
    every = torch.arange(1, prepared.types.shape[1] + 1)[:, None, None]
    masks = (torch.from_numpy(kinds)[:, None] == every).float()
    return interpolate(masks, (size, size), mode="area")
