"""Scans with a type for each voxel: laid out in slabs, read, and numbered by patient."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

import numpy as np
import numpy.typing as npt

from trainer.datasets.people import SCANS, person_number
from trainer.datasets.slices import (
    SLICE_INTERVAL_MM,
    DataError,
    Slab,
    Slice,
    Source,
    Volume,
    each,
)
from worker.munet.card import CLASSES
from worker.munet.resampled import scanned
from worker.munet.slab import Mixture, is_thin, mixtures

HALF = 0.5  # of a slab that must be blood


@dataclass(frozen=True)
class Scan:
    """One volume of a patient."""

    source: Source
    person: str  # the patient's name or identifier in the source
    name: str  # the scan's own
    volume: Volume
    slice_position_mm: tuple[float, ...]  # of its planes, rising
    spacing_mm: tuple[float, float]


def slices_of(scans: Sequence[Scan]) -> list[Slice]:
    """Lay every scan out as the worker would, and number it by its patient.

    Raises
    ------
    DataError
        A scan is given twice, two patients would get one number, or scans can't be read.
    """
    numbered: list[tuple[Scan, int]] = []
    owners: dict[int, tuple[str, str]] = {}
    ordered = sorted(scans, key=_owner_and_name)
    for (source, person), own in groupby(ordered, key=_owner):
        number, several = person_number(source, person), list(own)
        if owners.setdefault(number, (source, person)) != (source, person):
            raise DataError(f"{source}: two patients get one number; rename the source")
        names = [scan.name for scan in several]
        if len(set(names)) < len(names) or len(names) > SCANS:
            raise DataError(
                f"{several[0].volume.files[0]}: its patient's scans are given twice, or are more"
                f" than {SCANS}; give each folder once"
            )
        numbered += [(scan, number + index) for index, scan in enumerate(several)]
    return list(chain.from_iterable(each(numbered, lambda one: laid_out(*one))))


def _owner(scan: Scan) -> tuple[str, str]:
    return scan.source.name, scan.person


def _owner_and_name(scan: Scan) -> tuple[str, str, str]:
    return *_owner(scan), scan.name


def laid_out(scan: Scan, patient: int) -> list[Slice]:
    """Average thin planes to slabs of the thickness that CT-ICH has, as the worker does."""
    mixed, laid = mixed_planes(scan.volume, np.array(scan.slice_position_mm))
    step = float(np.median(np.diff(laid))) if len(laid) > 1 else SLICE_INTERVAL_MM
    slices = []
    for index, mixture in enumerate(mixed):
        slab = Slab(
            scan.volume,
            tuple(mixture.indices.tolist()),
            tuple(mixture.weights.tolist()),
            scan.slice_position_mm,
        )
        present = np.unique(read_kinds(slab))
        slices.append(
            Slice(
                patient,
                index + 1,
                tuple(number + 1 in present for number in range(len(CLASSES))),
                scan.volume.files[0],
                None,
                scan.volume.files[-1],
                z_mm=float(laid[index]),
                spacing_mm=scan.spacing_mm,
                interval_mm=step,
                source=scan.source,
                slab=slab,
            )
        )
    return slices


def mixed_planes(
    volume: Volume, plane_position_mm: npt.NDArray[np.float64]
) -> tuple[list[Mixture], npt.NDArray[np.float64]]:
    """Say which planes make each slab and where it lies (`worker.munet.slab.slabs`).

    Planes that were interpolated between thicker slices are first brought back to those.
    """
    if is_thin(plane_position_mm, SLICE_INTERVAL_MM):
        hu = np.stack([volume.hu(plane) for plane in range(len(plane_position_mm))])
        if thicker := scanned(hu, plane_position_mm):
            mixed, laid = mixtures(thicker.slice_position_mm, SLICE_INTERVAL_MM)
            return [_of_planes(mixture, thicker.shares) for mixture in mixed], laid
    return mixtures(plane_position_mm, SLICE_INTERVAL_MM)


def _of_planes(mixture: Mixture, shares: npt.NDArray[np.float32]) -> Mixture:
    """Put a mixture of scanned slices as one of the planes that those are laid back of."""
    weights = mixture.weights @ shares[mixture.indices].astype(np.float64)
    planes = np.flatnonzero(weights)
    return Mixture(planes, weights[planes])


def read_hu(slab: Slab) -> npt.NDArray[np.float32]:
    """HU of a slab, (row, column)."""
    planes = [slab.volume.hu(plane) for plane in slab.planes]
    if len(planes) == 1:
        return planes[0]
    weights = np.array(slab.weights, np.float32)
    return np.asarray(np.einsum("s,src->rc", weights, np.stack(planes)), np.float32)


def read_kinds(slab: Slab) -> npt.NDArray[np.uint8]:
    """Type of each pixel of a slab: of the most of its blood, where half of it or more is blood."""
    planes = [slab.volume.kinds(plane) for plane in slab.planes]
    if len(planes) == 1:
        return planes[0]
    votes = np.zeros((len(CLASSES) + 1, *planes[0].shape), np.float32)
    for plane, weight in zip(planes, slab.weights, strict=True):
        for kind in np.unique(plane[plane > 0]):
            votes[kind] += np.float32(weight) * (plane == kind)
    bleeds = votes.sum(axis=0) >= HALF - 1e-6
    return np.where(bleeds, votes.argmax(axis=0), 0).astype(np.uint8)


def kind_table(labels: dict[int, int], largest: int) -> npt.NDArray[np.int16]:
    """Make a table from label to type; -1 is a label that nobody named."""
    table = np.full(largest + 1, -1, np.int16)
    for label, kind in labels.items():
        if label <= largest:
            table[label] = kind
    return table


def pattern(text: str) -> re.Pattern[str]:
    """Compile a regular expression with a group `patient`.

    Raises
    ------
    DataError
        It is none.
    """
    try:
        found = re.compile(text)
    except re.error as error:
        raise DataError(f"patient = {text!r} is no regular expression: {error}") from error
    if "patient" not in found.groupindex:
        raise DataError(f"patient = {text!r} needs a group (?P<patient>...)")
    return found
