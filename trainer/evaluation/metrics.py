"""The one definition of each figure of merit, on plain arrays: Dice, IoU, AUC, accuracy, ICC."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from worker.munet.card import CLASSES

UNCERTAIN, MISSED = len(CLASSES), len(CLASSES) + 1
ANSWERS = (*CLASSES, "uncertain", "missed")


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


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of some slices from which every Dice and IoU of ours comes (equations 11 and 12)."""

    truth: npt.NDArray[np.integer]  # (slice,) blood
    found: npt.NDArray[np.integer]  # (slice,) found
    both: npt.NDArray[np.integer]  # (slice,) found and there

    @classmethod
    def of(cls, truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> "PixelCounts":
        """Count masks (slice, row, column)."""
        masks = (truth, found, truth & found)
        return cls(*(np.count_nonzero(mask, axis=(1, 2)) for mask in masks))

    def where(self, rows: npt.NDArray[np.bool_]) -> "PixelCounts":
        """Give the counts of some of the slices."""
        return PixelCounts(self.truth[rows], self.found[rows], self.both[rows])

    @property
    def with_blood(self) -> "PixelCounts":
        """The counts of the slices that hold blood."""
        return self.where(self.truth > 0)

    @property
    def dice(self) -> float:
        """Pooled over all pixels."""
        return ratio(2 * self.both.sum(), self.truth.sum() + self.found.sum())

    @property
    def iou(self) -> float:
        """Pooled over all pixels."""
        return ratio(self.both.sum(), self.truth.sum() + self.found.sum() - self.both.sum())

    @property
    def mean_dice(self) -> float:
        """Mean over the slices; one where nothing is and nothing was found counts 0."""
        return mean(2 * self.both / np.maximum(self.truth + self.found, 1))

    @property
    def mean_iou(self) -> float:
        """Mean over the slices; one where nothing is and nothing was found counts 0."""
        return mean(self.both / np.maximum(self.truth + self.found - self.both, 1))


@dataclass(frozen=True)
class CalledTypes:
    """The types of slices with exactly one, and what they were called (the paper's protocol)."""

    truth: npt.NDArray[np.intp]  # (slice,) index of the type
    called: npt.NDArray[np.intp]  # (slice,) index of the highest of the five scores

    @classmethod
    def of(cls, scores: npt.NDArray[np.floating], types: npt.NDArray[np.bool_]) -> "CalledTypes":
        """Take the argmax of scores (slice, 5 or more) where types (slice, 5) names one."""
        single = one_type(types)
        truth, called = types[single], scores[single, : types.shape[1]]
        return cls(truth.argmax(axis=1), called.argmax(axis=1))

    @property
    def accuracy(self) -> float:
        """Share that is called right (equation 7)."""
        return ratio(int((self.truth == self.called).sum()), len(self.truth))

    @property
    def balanced_accuracy(self) -> float:
        """Mean over the types that are there of the share that is called right."""
        kinds = np.unique(self.truth)
        return mean([sensitivity(self.truth == kind, self.called == kind) for kind in kinds])


@dataclass(frozen=True)
class OutlinedTypes:
    """The types of slices with exactly one, and as what most of their outlined blood is shown."""

    truth: npt.NDArray[np.intp]  # (slice,) index of the type
    called: npt.NDArray[np.intp]  # (slice,) index of the type, UNCERTAIN or MISSED

    @classmethod
    def of(cls, found_px: npt.NDArray[np.integer], types: npt.NDArray[np.bool_]) -> "OutlinedTypes":
        """Take the answer of the largest area, (slice, 6), in each slice with one type."""
        single = one_type(types)
        return cls(types[single].argmax(axis=1), called_by_area(found_px[single]))

    @property
    def confusion(self) -> npt.NDArray[np.intp]:
        """Slices by true type and by ANSWERS, (5, 7)."""
        counts = np.zeros((len(CLASSES), len(ANSWERS)), np.intp)
        np.add.at(counts, (self.truth, self.called), 1)
        return counts

    @property
    def recalls(self) -> npt.NDArray[np.floating]:
        """Share of each type's slices that is called right; NaN of a type that nobody has."""
        counts = self.confusion
        shares = [ratio(row[index], row.sum()) for index, row in enumerate(counts)]
        return np.array(shares)

    @property
    def accuracy(self) -> float:
        """Share of all slices that is called right; a miss and no answer are not."""
        return ratio(int((self.truth == self.called).sum()), len(self.truth))

    @property
    def balanced_accuracy(self) -> float:
        """Mean of the same share over the types that are there."""
        return mean(self.recalls[~np.isnan(self.recalls)])


def called_by_area(found_px: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Answer for slices (slice, 6) of pixels found by type and any; any of no type is uncertain."""
    types, every = found_px[:, : len(CLASSES)], found_px[:, -1]
    areas = np.column_stack((types, every - types.sum(axis=1)))
    return np.where(every > 0, areas.argmax(axis=1), MISSED)


def one_type(types: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which slices have exactly one of the types (slice, 5)."""
    return np.asarray(types.sum(axis=1) == 1)


def mean(values: Sequence[float] | npt.NDArray[np.floating]) -> float:
    """Mean of what is known; NaN of nothing."""
    return ratio(float(np.sum(values)), len(values))


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
