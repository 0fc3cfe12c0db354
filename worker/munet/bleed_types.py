"""Tell the type of a bleed from all of it: a multinomial logistic of a few plain numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.munet.bleeds import KINDS, SHAPE, Bleeds, Head, measure

EMPTY = 0.05  # added to votes: a type that no pixel speaks for is unlikely, not impossible


@dataclass(frozen=True)
class BleedTypes:
    """A section of the card, under `bleed_types`.

    The logit of a type is its intercept, `votes` times the log of its share of the bleed's pixels,
    and its weights times the standardised shape.

    Attributes
    ----------
    votes
        The same for every type.
    intercept
        By type.
    weights
        By type and measure of `worker.munet.bleeds.SHAPE`.
    centre, spread
        What is subtracted from each measure, and what it is divided by.
    least
        Below this probability a bleed's type is uncertain.
    """

    votes: float
    intercept: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    least: float

    def __post_init__(self) -> None:
        """Refuse numbers that fit no bleed."""
        rows = (*self.weights, self.centre, self.spread)
        if {len(row) for row in rows} != {len(SHAPE)} or len(self.weights) != KINDS:
            raise ValueError(f"weights are one for each of {SHAPE}, by {KINDS} types")
        numbers = np.concatenate([*rows, self.intercept, [self.votes, self.least]])
        if len(self.intercept) != KINDS or not np.isfinite(numbers).all():
            raise ValueError(f"weights are numbers, and {KINDS} intercepts")
        if min(self.spread) <= 0 or not 0 <= self.least <= 1:
            raise ValueError("spreads are above 0, the least probability is one")

    def probabilities(self, bleeds: Bleeds) -> npt.NDArray[np.float64]:
        """Return the probability of each type for each bleed, (bleed, 5)."""
        shape = (bleeds.shape - self.centre) / self.spread
        logits = self.votes * voted(bleeds.votes) + shape @ np.transpose(self.weights)
        logits += self.intercept
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))

    def told(self, bleeds: Bleeds) -> npt.NDArray[np.uint8]:
        """Return each bleed's type, 1 ... 5, or one more where it is uncertain, (bleed,)."""
        likely = self.probabilities(bleeds)
        certain = likely.max(axis=1, initial=0) >= self.least
        return np.where(certain, likely.argmax(axis=1) + 1, KINDS + 1).astype(np.uint8)

    def label(self, kept: npt.NDArray[np.bool_], head: Head) -> npt.NDArray[np.uint8]:
        """Label what is kept as blood, and the pixels around it, by whole bleeds.

        Parameters
        ----------
        kept
            (slab, row, column).

        Returns
        -------
        array
            (slab, row, column); elsewhere each pixel's type as it came in.
        """
        bleeds = measure(kept, head)
        told = np.concatenate(([np.uint8(0)], self.told(bleeds)))[bleeds.where]
        return np.where(told > 0, told, head.types)


def voted(votes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return the log of shares (bleed, 5)."""
    return np.asarray(np.log(votes + EMPTY))
