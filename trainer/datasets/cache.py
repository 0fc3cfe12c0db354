"""Prepared pictures and masks of a whole release in one file, so that epochs never decode JPGs."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from rich.progress import track

from trainer.datasets.sources import (
    SLICE_INTERVAL_MM,
    Release,
    Slice,
    read_kinds,
    read_mask,
    read_series,
)
from worker.munet.preprocessing import Channels, Preprocessing, Series
from worker.munet.resize import Box, resize

MAKING = 6  # raised when the same settings come to give another file
PIXEL_MM = 0.75  # about what a head cut out of its frame has


@dataclass(frozen=True)
class Prepared:
    """Slices in network form, patient by patient from the lowest slice up."""

    patients: npt.NDArray[np.int64]  # (slice,)
    numbers: npt.NDArray[np.int64]  # (slice,)
    types: npt.NDArray[np.bool_]  # (slice, 5)
    pictures: npt.NDArray[np.uint8]  # (slice, 256, 256); with bone's window twice as many
    masks: npt.NDArray[np.bool_]  # (slice, 256, 256)
    layout: npt.NDArray[np.int64]  # (slice, 3 or 4), which pictures are the channels
    positions_mm: npt.NDArray[np.float64] | None = None  # (slice,); as in CT-ICH where not given
    pixels_mm: npt.NDArray[np.float64] | None = None  # (slice,) side of a pixel; PIXEL_MM where not
    # Of slices with several types whose pixels are known: (256, 256), 0 none, 1 ... 5 the type.
    kinds: Mapping[int, npt.NDArray[np.uint8]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Whether a slice holds any hemorrhage, (slice,)."""
        return np.asarray(self.types.any(axis=1))

    def where(self, patients: Collection[int]) -> npt.NDArray[np.intp]:
        """Return the indices of the named patients' slices."""
        return np.flatnonzero(np.isin(self.patients, list(patients)))

    def pixel_mm(self, row: int) -> float:
        """Side of a slice's pixels."""
        return PIXEL_MM if self.pixels_mm is None else float(self.pixels_mm[row])

    def series(self, patient: int) -> Series:
        """Return what the network is given of one patient."""
        rows = self.where([patient])
        slice_position_mm = self.numbers[rows] * SLICE_INTERVAL_MM
        if self.positions_mm is not None:
            slice_position_mm = self.positions_mm[rows]
        layout = self.layout[rows]
        shown = np.union1d(rows, layout)  # rising: the brain window's, then bone's
        return Series(self.pictures[shown], np.searchsorted(shown, layout), slice_position_mm)


def prepare(release: Release, preprocessing: Preprocessing, folder: Path) -> Prepared:
    """Read the cache of this release and preprocessing, or make it.

    Parameters
    ----------
    folder
        Where caches live. The file's name depends on everything that decides its content.
    """
    path = folder / f"ctich-{fingerprint(release.slices, preprocessing)}.npz"
    if not path.exists():  # one that is finished may lie where nobody can write
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # several processes of one run may want it
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
            np.array([ct_slice.slice_position_mm for ct_slice in release.slices]),
            stored["pixels_mm"],
            dict(zip(stored["mixed"].tolist(), stored["kinds"], strict=True)),
        )


def fingerprint(slices: Sequence[Slice], preprocessing: Preprocessing) -> str:
    """Name the content of a cache: how it is made, its settings, and each slice's files.

    A mask counts by its bytes, which are few: corrected, it may keep its size. Pictures, which may
    be many gigabytes, count by size and time.
    """
    alike: Channels = "bone" if preprocessing.channels == "bone" else "gray"
    settings = asdict(replace(preprocessing, channels=alike, neighbour_mm=1.0))
    masks = {mask: _sha256(mask) for mask in {ct_slice.mask for ct_slice in slices} if mask}
    files = [
        (
            ct_slice.patient,
            ct_slice.number,
            ct_slice.types,
            [path and (masks.get(path) or _stamp(path)) for path in ct_slice.files],
            ct_slice.slab
            and (ct_slice.slab.planes, ct_slice.slab.weights, ct_slice.slab.volume.naming),
        )
        for ct_slice in slices
    ]
    return hashlib.sha256(json.dumps([MAKING, settings, files]).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _write(path: Path, release: Release, preprocessing: Preprocessing) -> None:
    pictures: list[npt.NDArray[np.uint8]] = []
    bone: list[npt.NDArray[np.uint8]] = []
    masks: list[npt.NDArray[np.bool_]] = []
    pixels_mm: list[float] = []
    kinds: dict[int, npt.NDArray[np.uint8]] = {}
    for patient in track(release.patients, "Preparing patients"):
        slices = release.of(patient)
        hu, _ = read_series(slices)
        box = preprocessing.box(hu)
        made = preprocessing.pictures(hu, box)
        pictures.append(made[: len(hu)])
        bone.append(made[len(hu) :])
        share = box.side / preprocessing.size
        pixels_mm += [share * float(np.sqrt(np.prod(s.spacing_mm))) for s in slices]
        kinds |= _mixed(slices, box, preprocessing.size, len(masks))
        masks += [small_mask(read_mask(ct_slice), box, preprocessing.size) for ct_slice in slices]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(
            file,
            patients=[s.patient for s in release.slices],
            numbers=[s.number for s in release.slices],
            types=[s.types for s in release.slices],
            pictures=np.concatenate((*pictures, *bone)),
            masks=np.stack(masks),
            pixels_mm=pixels_mm,
            mixed=np.array(list(kinds), np.int64),
            kinds=np.array(list(kinds.values()), np.uint8),
        )
    part.replace(path)


def _mixed(
    slices: Sequence[Slice], box: Box, size: int, first: int
) -> dict[int, npt.NDArray[np.uint8]]:
    """Types of the pixels of slices with several, by row of the cache."""
    found = {}
    for row, ct_slice in enumerate(slices, first):
        kinds = read_kinds(ct_slice) if sum(ct_slice.types) > 1 else None
        if kinds is not None:
            found[row] = small_kinds(kinds, box, size)
    return found


def small_kinds(kinds: npt.NDArray[np.uint8], box: Box, size: int) -> npt.NDArray[np.uint8]:
    """Bring types to the network's grid: where half of a pixel is blood, the type of most of it."""
    present = [kind for kind in np.unique(kinds).tolist() if kind]
    if not present:
        return np.zeros((size, size), np.uint8)
    shares = np.stack(
        [resize((kinds == kind).astype(np.uint8) * 255, box, size) for kind in present]
    )
    bleeds = small_mask(kinds > 0, box, size)
    return np.where(bleeds, np.array(present)[shares.argmax(axis=0)], 0).astype(np.uint8)


def small_mask(mask: npt.NDArray[np.bool_], box: Box, size: int) -> npt.NDArray[np.bool_]:
    """Bring a mask to the network's grid: a pixel is blood when half of it is."""
    return resize(mask.astype(np.uint8) * 255, box, size) >= 128


def _layout(
    patients: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
    release: Release,
    preprocessing: Preprocessing,
) -> npt.NDArray[np.int64]:
    """Channels of every slice as indices into all pictures, (slice, 3 or 4)."""
    found = np.empty((len(patients), preprocessing.planes), np.int64)
    for patient in release.patients:
        rows = np.flatnonzero(patients == patient)
        positions = np.array([ct_slice.slice_position_mm for ct_slice in release.of(patient)])
        pictures = np.concatenate((rows, len(patients) + rows))
        found[rows] = pictures[preprocessing.layout(positions)]
    return found
