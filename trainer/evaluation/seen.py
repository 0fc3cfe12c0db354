"""What a network answers for patients, beside what is there: thresholds are chosen on these."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from trainer.datasets.cache import small_kinds, small_mask
from trainer.datasets.sources import Release, Slice, read_mask, read_types
from trainer.evaluation.perturb import Head, read_head
from worker.munet.card import Scoring
from worker.munet.device import resolve
from worker.munet.inference import Maps, run
from worker.munet.preprocessing import Preprocessing


@dataclass(frozen=True)
class Copy:
    """A head, as it is or as another scanner would have shown it (`perturb`): scores alone count.

    A copy's slices need not lie on the patient's, so it chooses nothing of slices and masks.
    """

    maps: Maps
    truth: npt.NDArray[np.bool_]  # (6,), of the study


@dataclass(frozen=True)
class Seen:
    """One patient and a network's raw answer."""

    patient: int
    maps: Maps
    types: npt.NDArray[np.bool_]  # (slice, 5)
    masks: npt.NDArray[np.bool_]  # (slice, 256, 256)
    kinds: npt.NDArray[np.uint8]  # (slice, 256, 256) 1 ... 5 the type of blood, 0 where unknown
    pictures: npt.NDArray[np.uint8]  # (slice, 256, 256), what the network saw in the brain window

    @property
    def truth(self) -> npt.NDArray[np.bool_]:
        """Types and any, (slice, 6)."""
        return np.column_stack((self.types, self.types.any(axis=1)))

    def copy(self, maps: Maps | None = None) -> Copy:
        """Return the patient as a study whose threshold is looked for; changed, with other maps."""
        return Copy(maps or self.maps, np.asarray(self.truth.any(axis=0)))


def ask(network: nn.Module, preprocessing: Preprocessing, scoring: Scoring, head: Head) -> Maps:
    """Ask a network about one series."""
    device = resolve("auto")
    return run(network.to(device), preprocessing(*head.series)[0], scoring, device)


def beside(slices: Sequence[Slice], head: Head, preprocessing: Preprocessing, maps: Maps) -> Seen:
    """Set an answer beside what is there, on the network's grid."""
    laid = preprocessing.slabs(*head.series)
    box = preprocessing.box(laid.hu)
    truth = [read_mask(ct_slice) for ct_slice in slices]
    masks = [small_mask(mask, box, preprocessing.size) for mask in truth]
    kinds = [
        small_kinds(_known(ct_slice, mask), box, preprocessing.size)
        for ct_slice, mask in zip(slices, truth, strict=True)
    ]
    types = np.array([ct_slice.types for ct_slice in slices])
    pictures = preprocessing.pictures(laid.hu, box)[: len(laid.hu)]
    return Seen(slices[0].patient, maps, types, np.stack(masks), np.stack(kinds), pictures)


def _known(ct_slice: Slice, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    kinds = read_types(ct_slice, mask)
    return np.zeros(mask.shape, np.uint8) if kinds is None else kinds


def see(
    network: nn.Module,
    preprocessing: Preprocessing,
    scoring: Scoring,
    release: Release,
    patient: int,
) -> Seen:
    """Ask a network about one patient of a release."""
    slices = release.of(patient)
    head = read_head(slices)
    return beside(slices, head, preprocessing, ask(network, preprocessing, scoring, head))
