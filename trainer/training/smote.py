"""SMOTE on picture and mask together (section "SMOTE-based class balancing", table 4, figure 5).

Both are flattened into one row, so imbalanced-learn interpolates them between the same two slices
with the same weight; the mask is then cut at one half. A few slices at a time bound the memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors

from trainer.config import ConfigError, Smote
from trainer.datasets.cache import Prepared
from worker.munet.card import CLASSES

SYNTHETIC = -1  # the patient number of slices that are nobody's
MASK_CUT = 128  # of 255: one half
CHUNK = 32  # slices a call: imbalanced-learn holds several copies of what it makes


def oversample(
    prepared: Prepared, rows: npt.NDArray[np.intp], config: Smote, seed: int
) -> tuple[Prepared, npt.NDArray[np.intp]]:
    """Add synthetic slices made from `rows`, the training slices, and from no others.

    Returns
    -------
    prepared, rows
        The release with the new slices at its end, and the training rows with theirs.

    Raises
    ------
    ConfigError
        A type lacks slices and has fewer than two to make them of.
    """
    targets = enumerate(map(asdict(config).get, CLASSES))
    every = [wanted(prepared, rows, index, target) for index, target in targets if target]
    jobs = [job for job in every if job.count]
    if not jobs:
        return prepared, rows
    grown = with_room(prepared, jobs)
    at = len(prepared)
    for job in jobs:
        for made in synthetic(prepared, job, config.neighbours, seed):
            put(grown, at, made)
            at += len(made)
    return grown, np.concatenate((rows, np.arange(len(prepared), at)))


@dataclass(frozen=True)
class Job:
    """Slices of one type to make."""

    index: int  # of the type
    parents: npt.NDArray[np.intp]  # rows with this type and no other
    count: int


def wanted(prepared: Prepared, rows: npt.NDArray[np.intp], index: int, target: int) -> Job:
    """Count what one type lacks: nothing, where as many are there or more."""
    parents, name = single_type(prepared, rows, index), CLASSES[index]
    if len(parents) < min(2, target):
        raise ConfigError(
            f"[smote] {name} = {target}: SMOTE needs two training slices with {name} alone, here"
            f" are {len(parents)}; set {name} = 0, or train on more patients"
        )
    return Job(index, parents, max(0, target - len(parents)))


def single_type(prepared: Prepared, rows: npt.NDArray[np.intp], index: int) -> npt.NDArray[np.intp]:
    """Those of `rows` that hold this type and no other: the mask of the others is ambiguous."""
    types = prepared.types[rows]
    return rows[np.flatnonzero(types[:, index] & (types.sum(axis=1) == 1))]


def synthetic(
    prepared: Prepared, job: Job, neighbours: int, seed: int
) -> Iterator[npt.NDArray[np.uint8]]:
    """Make the slices of one type, some at a time, (slice, channels and mask, 256, 256)."""
    flat = flatten(prepared, job.parents)
    side = prepared.pictures.shape[-1]
    for start in range(0, job.count, CHUNK):
        made = interpolated(
            flat,
            min(CHUNK, job.count - start),
            min(neighbours, len(flat) - 1),
            seed + len(flat) + start,
        )
        yield made.reshape(len(made), -1, side, side)


def with_room(prepared: Prepared, jobs: Sequence[Job]) -> Prepared:
    """Return the release with room at its end, so that what is made is never held twice."""
    count = sum(job.count for job in jobs)
    channels = planes(prepared)
    layout = len(prepared.pictures) + np.arange(count * channels).reshape(count, channels)
    layout = np.broadcast_to(layout, (count, prepared.layout.shape[1]))  # grey: thrice the same
    kinds = np.repeat([job.index for job in jobs], [job.count for job in jobs])
    return replace(
        prepared,
        patients=np.concatenate((prepared.patients, np.full(count, SYNTHETIC))),
        numbers=np.concatenate((prepared.numbers, np.arange(count))),
        types=np.concatenate((prepared.types, np.eye(len(CLASSES), dtype=bool)[kinds])),
        pictures=longer(prepared.pictures, count * channels),
        masks=longer(prepared.masks, count),
        layout=np.concatenate((prepared.layout, layout)),
    )


def longer(old: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """Copy an array into one with so many more rows, not yet filled."""
    made = np.empty((len(old) + count, *old.shape[1:]), old.dtype)
    made[: len(old)] = old
    return made


def put(grown: Prepared, at: int, made: npt.NDArray[np.uint8]) -> None:
    """Fill the slices from row `at` on with channels and masks."""
    channels = np.unique(grown.layout[at : at + len(made)])  # rising, slice by slice
    grown.pictures[channels] = made[:, :-1].reshape(len(channels), *made.shape[2:])
    grown.masks[at : at + len(made)] = made[:, -1] >= MASK_CUT


def planes(prepared: Prepared) -> int:
    """How many different pictures a slice is made of: one grey picture three times is one."""
    return 1 if (prepared.layout == prepared.layout[:, :1]).all() else prepared.layout.shape[1]


def flatten(prepared: Prepared, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Channels and mask of each slice as one row of 0 ... 255, (slice, 2 or 4 * 256 * 256)."""
    layout = prepared.layout[rows, : planes(prepared)]
    channels = prepared.pictures[layout].astype(np.float32)
    masks = prepared.masks[rows][:, None].astype(np.float32) * 255
    return np.concatenate((channels, masks), axis=1).reshape(len(rows), -1)


def interpolated(
    parents: npt.NDArray[np.float32], count: int, neighbours: int, seed: int
) -> npt.NDArray[np.uint8]:
    """Make rows between parents and their nearest neighbours, (count, features)."""
    # imbalanced-learn wants a second class to balance against; one empty row is the cheapest.
    rows = np.concatenate((parents, np.zeros((1, parents.shape[1]), np.float32)))
    sides = np.append(np.ones(len(parents), int), 0)
    strategy = {1: len(parents) + count}
    # The default search holds a gigabyte of buffers for rows as long as these; a tree finds the
    # same neighbours. It counts the row itself, hence one more.
    search = NearestNeighbors(n_neighbors=neighbours + 1, algorithm="kd_tree")
    maker = SMOTE(sampling_strategy=strategy, k_neighbors=search, random_state=seed)
    every, _ = maker.fit_resample(rows, sides)
    return np.asarray(np.rint(every[len(rows) :]), np.uint8)
