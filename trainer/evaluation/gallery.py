"""Keep the few slices that the figures show while a checkpoint is evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trainer.datasets.sources import Slice, read_mask
from trainer.evaluation.studies import severity
from worker.munet.card import CLASSES
from worker.munet.inference import Prediction
from worker.munet.preprocessing import Preprocessing, window
from worker.munet.resize import Box

WORST = 8  # slices, each of another patient


@dataclass(frozen=True)
class Example:
    """One slice with its mask and with what was found."""

    patient: int
    number: int
    grey: npt.NDArray[np.uint8]  # (row, column), the brain window
    truth: npt.NDArray[np.bool_]  # (row, column)
    found: npt.NDArray[np.bool_]  # (row, column), any label
    box: Box
    rank: int = 0  # of its study: missed, then a false alarm, then the others

    @property
    def wrong_px(self) -> int:
        """Pixels missed or falsely found."""
        return int((self.truth != self.found).sum())

    @property
    def loss(self) -> tuple[int, int]:
        """How bad it is: a bleed that nobody is told of first."""
        return self.rank, self.wrong_px


@dataclass
class Gallery:
    """The slice with the most blood of each type, and the slices that are most wrong.

    The first are chosen by what is there, not by what was found; slices with several types are
    passed over, since their mask belongs to none of them alone. Of the second each patient gives
    one at most, whose studies were missed before all others.
    """

    preprocessing: Preprocessing
    examples: dict[str, Example] = field(default_factory=dict)
    worst: list[Example] = field(default_factory=list)  # the most wrong first

    def see(self, slices: Sequence[Slice], hu: npt.NDArray[np.float32], found: Prediction) -> None:
        """Keep a patient's slices where they hold more than those that are kept."""
        self._keep_largest(slices, hu, found)
        truth = np.stack([read_mask(ct_slice) for ct_slice in slices])
        index = int((truth != (found.labels > 0)).sum(axis=(1, 2)).argmax())
        example = self._example(slices[index], hu, index, truth[index], found)
        bleeds = any(ct_slice.positive for ct_slice in slices)
        called = found.probabilities["any"] >= found.alarm
        example = replace(example, rank=severity(bleeds, called))
        wrong = [each for each in (*self.worst, example) if each.wrong_px]
        self.worst = sorted(wrong, key=lambda each: each.loss, reverse=True)[:WORST]

    def _keep_largest(
        self, slices: Sequence[Slice], hu: npt.NDArray[np.float32], found: Prediction
    ) -> None:
        single = [index for index, ct_slice in enumerate(slices) if sum(ct_slice.types) == 1]
        for index in single:
            name = CLASSES[slices[index].types.index(True)]
            truth = read_mask(slices[index])
            kept = self.examples.get(name)
            if kept is None or truth.sum() > kept.truth.sum():
                self.examples[name] = self._example(slices[index], hu, index, truth, found)

    def _example(
        self,
        ct_slice: Slice,
        hu: npt.NDArray[np.float32],
        index: int,
        truth: npt.NDArray[np.bool_],
        found: Prediction,
    ) -> Example:
        shown = window(hu[index], self.preprocessing.level_hu, self.preprocessing.width_hu)
        box = self.preprocessing.box(hu)
        return Example(
            ct_slice.patient, ct_slice.number, shown, truth, found.labels[index] > 0, box
        )
