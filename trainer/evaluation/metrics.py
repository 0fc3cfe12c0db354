"""Figures of merit on plain arrays."""

import math

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata


def auc(truth: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Area under the ROC curve; NaN where only one kind is present."""
    if truth.all() or not truth.any():
        return math.nan
    # As Mann and Whitney's U; a bootstrap asks thousands of times, for which sklearn is too slow.
    positive, ranks = int(truth.sum()), rankdata(score)
    pairs = positive * (len(truth) - positive)
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / pairs)


def ratio(part: float, whole: float) -> float:
    """Part of whole; NaN of nothing."""
    return float(part / whole) if whole else math.nan


def sensitivity(truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> float:
    """Share of the positive that is called (equation 9)."""
    return ratio(int((truth & called).sum()), int(truth.sum()))


def specificity(truth: npt.NDArray[np.bool_], called: npt.NDArray[np.bool_]) -> float:
    """Share of the negative that is not called (equation 8)."""
    return sensitivity(~truth, ~called)


class Overlap:
    """Dice and IoU (equations 11, 12), pooled over all pixels and as a mean over slices."""

    def __init__(self) -> None:
        self.both = self.truth = self.found = 0
        self.slices: list[float] = []

    def add(self, truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> None:
        """Count one slice; the mean over slices is over those with blood."""
        both, size, called = int((truth & found).sum()), int(truth.sum()), int(found.sum())
        self.both, self.truth, self.found = (
            self.both + both,
            self.truth + size,
            self.found + called,
        )
        if size:
            self.slices.append(2 * both / (size + called))

    @property
    def dice(self) -> float:
        """Pooled over all pixels that were added."""
        return ratio(2 * self.both, self.truth + self.found)

    @property
    def iou(self) -> float:
        """Pooled over all pixels that were added."""
        return ratio(self.both, self.truth + self.found - self.both)

    @property
    def mean_dice(self) -> float:
        """Mean over the slices with blood."""
        return float(np.mean(self.slices)) if self.slices else math.nan


def intraclass(truth: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> float:
    """ICC(A,1) of two raters, absolute agreement (McGraw and Wong 1996); NaN below two cases."""
    count = len(truth)
    if count < 2:
        return math.nan
    table = np.stack((truth, found), axis=1)
    grand = table.mean()
    rows = 2 * ((table.mean(axis=1) - grand) ** 2).sum() / (count - 1)
    columns = count * ((table.mean(axis=0) - grand) ** 2).sum()
    total = ((table - grand) ** 2).sum()
    error = (total - rows * (count - 1) - columns) / (count - 1)
    return ratio(rows - error, rows + error + 2 * (columns - error) / count)
