"""SMOTE on picture and mask together (section "SMOTE-based class balancing", table 4, figure 5).

Both are flattened into one row, so imbalanced-learn interpolates them between the same two slices
with the same weight; the mask is then cut at one half. One type at a time, which bounds memory.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling import SMOTE
from sklearn.neighbors import NearestNeighbors

from trainer.cache import Prepared
from trainer.config import ConfigError, Smote
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
        A target below what is there, or a type with fewer than two slices.
    """
    targets = asdict(config)
    made = {
        index: grown(prepared, single_type(prepared, rows, index), index, targets, seed)
        for index, name in enumerate(CLASSES)
        if targets[name]
    }
    if not made:
        return prepared, rows
    before = len(prepared)
    prepared = appended(prepared, made)
    return prepared, np.concatenate((rows, np.arange(before, len(prepared))))


def single_type(prepared: Prepared, rows: npt.NDArray[np.intp], index: int) -> npt.NDArray[np.intp]:
    """Those of `rows` that hold this type and no other: the mask of the others is ambiguous."""
    types = prepared.types[rows]
    return rows[np.flatnonzero(types[:, index] & (types.sum(axis=1) == 1))]


def grown(
    prepared: Prepared,
    parents: npt.NDArray[np.intp],
    index: int,
    targets: Mapping[str, int],
    seed: int,
) -> npt.NDArray[np.uint8]:
    """Make the slices that one type lacks, as channels and mask (slice, 2 or 4, 256, 256)."""
    target = targets[CLASSES[index]]
    if not 2 <= len(parents) <= target:
        name = CLASSES[index]
        raise ConfigError(f"SMOTE can't make {target} of {len(parents)} slices with {name} alone")
    neighbours = min(targets["neighbours"], len(parents) - 1)
    flat = flatten(prepared, parents)
    parts = [
        interpolated(flat, min(CHUNK, target - start), neighbours, seed + start)
        for start in range(len(parents), target, CHUNK)
    ]
    side = prepared.pictures.shape[-1]
    flat_made = np.concatenate([np.empty((0, flat.shape[1]), np.uint8), *parts])
    return flat_made.reshape(len(flat_made), flat.shape[1] // side**2, side, side)


def appended(prepared: Prepared, made: Mapping[int, npt.NDArray[np.uint8]]) -> Prepared:
    """Append the slices of each type, given as channels and mask, in one step."""
    planes = list(made.values())
    channels, side = planes[0].shape[1] - 1, prepared.pictures.shape[-1]
    count = sum(len(one) for one in planes)
    layout = len(prepared.pictures) + np.arange(count * channels).reshape(count, channels)
    layout = np.broadcast_to(layout, (count, prepared.layout.shape[1]))  # grey: thrice the same
    pictures = [one[:, :-1].reshape(-1, side, side) for one in planes]
    return replace(
        prepared,
        patients=np.concatenate((prepared.patients, np.full(count, SYNTHETIC))),
        numbers=np.concatenate((prepared.numbers, np.arange(count))),
        types=np.concatenate((prepared.types, np.eye(len(CLASSES), dtype=bool)[kinds(made)])),
        pictures=np.concatenate((prepared.pictures, *pictures)),
        masks=np.concatenate((prepared.masks, *(one[:, -1] >= MASK_CUT for one in planes))),
        layout=np.concatenate((prepared.layout, layout)),
    )


def kinds(made: Mapping[int, npt.NDArray[np.uint8]]) -> npt.NDArray[np.intp]:
    """Type index of every new slice, (slice,)."""
    return np.repeat(list(made), [len(one) for one in made.values()])


def flatten(prepared: Prepared, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Channels and mask of each slice as one row of 0 ... 255, (slice, 2 or 4 * 256 * 256)."""
    layout = prepared.layout[rows]
    if (layout == layout[:, :1]).all():
        layout = layout[:, :1]  # one grey picture three times is one picture
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
