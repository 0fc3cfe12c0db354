"""Components of probability maps, counted once, so that many ways to sift them can be tried."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from trainer.evaluation.metrics import PixelCounts
from worker.munet.card import OperatingPoint


@dataclass(frozen=True)
class Blobs:
    """Every component above one threshold in a row of slices."""

    index: npt.NDArray[np.intp]  # (component,) its slice
    size: npt.NDArray[np.int64]  # (component,) pixels
    peak: npt.NDArray[np.float32]  # (component,) highest probability
    both: npt.NDArray[np.int64]  # (component,) pixels that are blood
    truth: npt.NDArray[np.int64]  # (slice,) pixels of blood

    def sifted(self, point: OperatingPoint, shown: npt.NDArray[np.bool_]) -> PixelCounts:
        """Count the pixels of the components that an operating point leaves.

        Parameters
        ----------
        point
            Its `seed` and `minimum_px` sift; its `mask` is the threshold that was counted at.
        shown
            (slice,): where a mask may appear at all.
        """
        kept = (self.peak >= point.seed) & (self.size >= point.minimum_px) & shown[self.index]
        slices = len(self.truth)
        found = np.bincount(self.index[kept], self.size[kept], slices)
        both = np.bincount(self.index[kept], self.both[kept], slices)
        return PixelCounts(self.truth, found.astype(np.int64), both.astype(np.int64))


def blobs(maps: npt.NDArray[np.float16], masks: npt.NDArray[np.bool_], limit: float) -> Blobs:
    """Count the components of (slice, row, column) maps against the masks of the same grid."""
    parts = [_slice(scores, mask, limit) for scores, mask in zip(maps, masks, strict=True)]
    index = np.repeat(np.arange(len(parts)), [len(size) for size, _, _ in parts])
    size, peak, both = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Blobs(index, size, peak, both, masks.sum(axis=(1, 2)))


def _slice(
    scores: npt.NDArray[np.float16], mask: npt.NDArray[np.bool_], limit: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Size, peak and blood of each component of one slice, connected as `labels` does it."""
    probability = scores.astype(np.float32)
    above = probability >= limit
    count, labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=8)
    where = np.asarray(labels[above], np.intp)
    peak = np.zeros(count, np.float32)
    np.maximum.at(peak, where, probability[above])
    size, both = np.bincount(where, minlength=count), np.bincount(where, mask[above], count)
    return size[1:], peak[1:], both[1:].astype(np.int64)


def together(parts: Sequence[Blobs]) -> Blobs:
    """Put the slices of several patients in one row."""
    starts = np.cumsum([0, *(len(part.truth) for part in parts[:-1])])
    return Blobs(
        np.concatenate([part.index + at for part, at in zip(parts, starts, strict=True)]),
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("size", "peak", "both", "truth")
        ),
    )
