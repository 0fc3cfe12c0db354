"""Where the slices of a series lie along their normal; numbers alone, no labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final

from receiver.instance.header import Header, Vector
from schema.dicom import ANALYSED_CLASSES

SAME_DIRECTION: Final = 1e-3  # cosines are written with few digits; see worker.frames.ANY_TWO
SAME_PLACE_MM: Final = 0.02  # closer than any scanner steps
EVEN_MM: Final = 0.1  # steps differ by rounding of the table position
EVEN_FRACTION: Final = 0.05
STEEPEST_DEGREES: Final = 45.0  # beyond it a slice is sagittal or coronal, or a localizer
SHORTEST_PART: Final = 3  # steps that make a part of their own


@dataclass(frozen=True)
class Evenness:
    """How regularly a sorted row of places is stepped.

    Attributes
    ----------
    parts_mm
        The step of each evenly stepped part, in order.
    odd_steps_mm
        Steps that belong to no part: a gap, or an uneven series.
    """

    parts_mm: tuple[float, ...]
    odd_steps_mm: tuple[float, ...]


def normal_of(orientation: Vector) -> Vector | None:
    """Cross the row and column cosines (PS3.3 C.7.6.2.1.1); None if they are not a frame.

    The normal points towards the patient's head, so that places of different series compare.
    """
    if len(orientation) != 6:
        return None
    row, column = orientation[:3], orientation[3:]
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    upright = abs(dot(row, column)) < 0.01 and abs(math.hypot(*normal) - 1) < 0.01
    if not upright:
        return None
    return normal if normal[2] >= 0 else tuple(-component for component in normal)


def degrees_off_axis(normal: Vector) -> float:
    """Give the angle between a slice's normal and the patient's long axis."""
    return math.degrees(math.acos(min(1.0, abs(normal[2]))))


def same_direction(first: Vector, other: Vector) -> bool:
    """Say whether two orientations, or two spacings, are the same as far as a stack goes."""
    return len(first) == len(other) and all(
        abs(a - b) <= SAME_DIRECTION for a, b in zip(first, other, strict=True)
    )


def axial_slice_position_mm(header: Header) -> list[float] | None:
    """Give the place of each frame along its normal; None if this is no axial CT slice.

    What the catalogue keeps of an object, so that nobody has to read the file again to know whether
    a series is complete.
    """
    if header.identity.sop_class_uid not in ANALYSED_CLASSES or "LOCALIZER" in header.image_type:
        return None
    places = []
    for position, orientation in zip(header.image_position_mm, header.orientations, strict=True):
        normal = normal_of(orientation)
        if len(position) != 3 or normal is None or degrees_off_axis(normal) > STEEPEST_DEGREES:
            return None
        places.append(round(dot(position, normal), 3))
    return places


def distinct(slice_position_mm: Sequence[float]) -> list[float]:
    """Sort places and drop those that are taken already."""
    kept: list[float] = []
    for place in sorted(slice_position_mm):
        if not kept or place - kept[-1] > SAME_PLACE_MM:
            kept.append(place)
    return kept


def evenness(slice_position_mm: Sequence[float]) -> Evenness:
    """Split sorted places into evenly stepped parts.

    A part has at least three equal steps; so thin slices below and thick ones above are two parts,
    and one missing slice is an odd step. Between two parts, one step of a size between theirs is no
    gap: centres of 2.5 and 5 mm slices lie 3.75 mm apart.
    """
    steps = [after - before for before, after in pairwise(slice_position_mm)]
    runs: list[list[float]] = []
    for step in steps:
        if runs and _is_even(step, runs[-1][0]):
            runs[-1].append(step)
        else:
            runs.append([step])
    parts = [sum(run) / len(run) for run in runs if len(run) >= SHORTEST_PART]
    odd = [
        step
        for index, run in enumerate(runs)
        if len(run) < SHORTEST_PART and not _joins(runs, index)
        for step in run
    ]
    merged = [value for value, _ in groupby(round(part, 1) for part in parts)]
    return Evenness(tuple(merged), tuple(round(step, 2) for step in odd))


def usual_step_mm(slice_position_mm: Sequence[float]) -> float:
    """Give the median step between sorted places; 0 for fewer than two."""
    steps = sorted(after - before for before, after in pairwise(slice_position_mm))
    return round(steps[len(steps) // 2], 2) if steps else 0.0


def dot(a: Vector, b: Vector) -> float:
    """Multiply two vectors."""
    return sum(x * y for x, y in zip(a, b, strict=True))


def _is_even(step: float, usual: float) -> bool:
    return abs(step - usual) <= max(EVEN_MM, EVEN_FRACTION * usual)


def _joins(runs: Sequence[Sequence[float]], index: int) -> bool:
    """Say whether a run is the single step between two parts, with a size between theirs."""
    if len(runs[index]) != 1 or not 0 < index < len(runs) - 1:
        return False
    before, after = runs[index - 1], runs[index + 1]
    if min(len(before), len(after)) < SHORTEST_PART:
        return False
    low, high = sorted((before[0], after[0]))
    return low < runs[index][0] < high
