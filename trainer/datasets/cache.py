"""Prepared pictures and masks of a whole release in one file, so that epochs never decode JPGs."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.progress import track

from trainer.datasets.ctich import SLICE_INTERVAL_MM, Release, Slice, read_mask, read_series
from worker.munet.preprocessing import Preprocessing, Series
from worker.munet.resize import Box, resize

MAKING = 3  # raised when the same settings come to give other pictures


@dataclass(frozen=True)
class Prepared:
    """Slices in network form, patient by patient from the lowest slice up."""

    patients: npt.NDArray[np.int64]  # (slice,)
    numbers: npt.NDArray[np.int64]  # (slice,)
    types: npt.NDArray[np.bool_]  # (slice, 5)
    pictures: npt.NDArray[np.uint8]  # (slice, 256, 256)
    masks: npt.NDArray[np.bool_]  # (slice, 256, 256)
    layout: npt.NDArray[np.int64]  # (slice, 3), which pictures are the channels

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Whether a slice holds any hemorrhage, (slice,)."""
        return np.asarray(self.types.any(axis=1))

    def where(self, patients: Collection[int]) -> npt.NDArray[np.intp]:
        """Return the indices of the named patients' slices."""
        return np.flatnonzero(np.isin(self.patients, list(patients)))

    def series(self, patient: int) -> Series:
        """Return what the network is given of one patient."""
        rows = self.where([patient])
        slice_position_mm = self.numbers[rows] * SLICE_INTERVAL_MM
        return Series(self.pictures[rows], self.layout[rows] - rows[0], slice_position_mm)


def prepare(release: Release, preprocessing: Preprocessing, folder: Path) -> Prepared:
    """Read the cache of this release and preprocessing, or make it.

    Parameters
    ----------
    folder
        Where caches live. The file's name depends on everything that decides its content.
    """
    path = folder / f"ctich-{fingerprint(release.slices, preprocessing)}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # several processes of one run may want it at once
        if not path.exists():
            _write(path, release, preprocessing)
    with np.load(path) as stored:
        return Prepared(
            stored["patients"],
            stored["numbers"],
            stored["types"],
            stored["pictures"],
            stored["masks"],
            _layout(stored["patients"], stored["numbers"], release, preprocessing),
        )


def fingerprint(slices: Iterable[Slice], preprocessing: Preprocessing) -> str:
    """Name the content of a cache: how it is made, its settings, each file's number and size."""
    settings = asdict(replace(preprocessing, channels="gray", neighbour_mm=1.0))
    files = [
        (ct_slice.patient, ct_slice.number, ct_slice.types, [p and p.stat().st_size for p in paths])
        for ct_slice in slices
        for paths in [(ct_slice.brain, ct_slice.bone, ct_slice.mask)]
    ]
    return hashlib.sha256(json.dumps([MAKING, settings, files]).encode()).hexdigest()[:16]


def _write(path: Path, release: Release, preprocessing: Preprocessing) -> None:
    pictures, masks = [], []
    for patient in track(release.patients, "Preparing patients"):
        slices = release.of(patient)
        hu, _ = read_series(slices)
        box = preprocessing.box(hu)
        pictures.append(preprocessing.pictures(hu, box))
        masks += [small_mask(read_mask(ct_slice), box, preprocessing.size) for ct_slice in slices]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            patients=[s.patient for s in release.slices],
            numbers=[s.number for s in release.slices],
            types=[s.types for s in release.slices],
            pictures=np.concatenate(pictures),
            masks=np.stack(masks),
        )
    part.replace(path)


def small_mask(mask: npt.NDArray[np.bool_], box: Box, size: int) -> npt.NDArray[np.bool_]:
    """Bring a mask to the network's grid: a pixel is blood when half of it is."""
    return resize(mask.astype(np.uint8) * 255, box, size) >= 128


def _layout(
    patients: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    release: Release,
    preprocessing: Preprocessing,
) -> npt.NDArray[np.int64]:
    """Channels of every slice as indices into all pictures, (slice, 3)."""
    found = np.empty((len(patients), 3), np.int64)
    for patient in release.patients:
        rows = np.flatnonzero(patients == patient)
        positions = np.array([ct_slice.slice_position_mm for ct_slice in release.of(patient)])
        found[rows] = rows[preprocessing.layout(positions)]
    return found
