"""A head CT as a stack of slices with the scanner's own geometry.

Nothing is resampled: tilted, gapped and unevenly spaced series keep their slices where they are.
Imports numpy and the schema alone, so that the trainer can use it too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from schema.errors import GeometryError

SAME_POSITION_MM: Final = 0.01  # closer than any scanner steps; positions carry rounding
GAP_FACTOR: Final = 1.5  # a step longer than this many usual steps misses a slice
NEIGHBOURHOOD: Final = 2  # steps on either side that say what is usual here
LONGEST_MM: Final = 3000.0  # no patient table travels further
WIDEST_PIXEL_MM: Final = 10.0
STEEPEST_DEGREES: Final = 60.0  # a gantry tilts by 30; beyond this the slices are no stack


@dataclass(frozen=True)
class Gap:
    """A step along the normal that is too long to be filled silently."""

    after_slice: int  # index of the slice below it
    distance_mm: float
    usual_mm: float

    def __str__(self) -> str:
        return (
            f"{self.distance_mm:.1f} mm after slice {self.after_slice + 1}"
            f" where {self.usual_mm:.1f} mm is usual"
        )


def usual_steps_mm(steps_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of each step and its neighbours.

    Local, because many head protocols change from thin slices in the posterior fossa to thick ones
    above it: one median for the series would call half of its slices a gap.
    """
    windows = [
        steps_mm[max(0, index - NEIGHBOURHOOD) : index + NEIGHBOURHOOD + 1]
        for index in range(len(steps_mm))
    ]
    return np.array([np.median(window) for window in windows])


def slice_heights_mm(slice_position_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Height that each slice stands for: half the step to either neighbour.

    Steps count up to 1.5 times what is usual around them. The first and the last slice reach as
    far outwards as inwards.

    Parameters
    ----------
    slice_position_mm
        (slice,) rising positions along the normal.

    Returns
    -------
    (slice,) heights in mm.
    """
    steps = np.diff(slice_position_mm)
    steps = np.minimum(steps, GAP_FACTOR * usual_steps_mm(steps))
    return np.asarray((np.append(steps[:1], steps) + np.append(steps, steps[-1:])) / 2)


def find_gaps(slice_position_mm: npt.NDArray[np.float64]) -> tuple[Gap, ...]:
    """List the steps that are longer than 1.5 times what is usual around them."""
    steps = np.diff(slice_position_mm)
    usual = usual_steps_mm(steps)
    return tuple(
        Gap(int(index), float(steps[index]), float(usual[index]))
        for index in np.flatnonzero(steps > GAP_FACTOR * usual)
    )


def check_positions(slice_position_mm: npt.NDArray[np.float64], names: Sequence[str]) -> None:
    """Refuse positions that are no stack.

    Parameters
    ----------
    slice_position_mm
        (slice,) positions along the normal, in the order of the stack.
    names
        What to call each slice in the message.

    Raises
    ------
    GeometryError
        Fewer than two slices, a position that is not finite, doubled or falling, or an extent
        beyond any patient table.
    """
    if len(slice_position_mm) < 2:
        raise GeometryError(
            f"{len(slice_position_mm)} slice: a stack needs two or more; send the whole series"
        )
    for position, name in zip(slice_position_mm, names, strict=True):
        if not np.isfinite(position):
            raise GeometryError(f"{name}: its position is not finite; send the series again")
    for step, below, above in zip(np.diff(slice_position_mm), names, names[1:], strict=False):
        if abs(step) < SAME_POSITION_MM:
            raise GeometryError(
                f"{below} and {above} lie at the same position: two reconstructions or time points"
                " in one series; send each as its own series"
            )
        if step < 0:
            raise GeometryError(f"{above} lies below {below}: sort the slices along the normal")
    extent_mm = slice_position_mm[-1] - slice_position_mm[0]
    if extent_mm > LONGEST_MM:
        raise GeometryError(
            f"the slices span {extent_mm:.0f} mm, more than a patient table;"
            f" check the position of {names[0]} and {names[-1]}"
        )


@dataclass(frozen=True, eq=False)
class Volume:
    """Slices in Hounsfield units, sorted along their normal.

    Attributes
    ----------
    hu
        (slice, row, column) float32, HU; read-only.
    slice_position_mm
        (slice,) float64, rising positions along the normal, which points towards the head.
    spacing_mm
        Distance between rows, between columns: the order of Pixel Spacing (PS3.3 10.7.1.3).
    tilt_degrees
        Angle between the normal and the line on which the slices are stacked.
    sop_instance_uids, frame_numbers
        Where each slice came from; frames count from 1. Empty when it came from no DICOM object.

    Raises
    ------
    GeometryError
        The slices form no stack; the message says which slice and what to do.
    """

    hu: npt.NDArray[np.float32]
    slice_position_mm: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float]
    tilt_degrees: float = 0.0
    sop_instance_uids: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no stack; freeze the arrays."""
        self._check_shapes()
        check_positions(self.slice_position_mm, self.slice_names)
        if not all(0 < side <= WIDEST_PIXEL_MM for side in self.spacing_mm):
            raise GeometryError(
                f"pixel spacing {self.spacing_mm} mm is not within 0 ... {WIDEST_PIXEL_MM:g} mm;"
                " correct Pixel Spacing at the sender"
            )
        if not 0 <= self.tilt_degrees <= STEEPEST_DEGREES:
            raise GeometryError(
                f"the slices are stacked at {self.tilt_degrees:.1f} degrees from their normal, more"
                f" than {STEEPEST_DEGREES:g}: no axial series; send the original one"
            )
        for name, frame in zip(self.slice_names, self.hu, strict=True):
            if not np.isfinite(frame).all():
                raise GeometryError(f"{name}: has values that are not finite; send it again")
        for field in ("hu", "slice_position_mm"):
            frozen = getattr(self, field).view()
            frozen.flags.writeable = False
            object.__setattr__(self, field, frozen)

    def _check_shapes(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.float32 or 0 in self.hu.shape[1:]:
            raise GeometryError(
                f"HU must be (slice, row, column) float32: {self.hu.shape} {self.hu.dtype}"
            )
        if self.slice_position_mm.shape != self.hu.shape[:1]:
            raise GeometryError(f"{len(self.hu)} slices, {self.slice_position_mm.shape} positions")
        sources = {len(self.sop_instance_uids), len(self.frame_numbers)}
        if sources not in ({0}, {len(self.hu)}):
            raise GeometryError(f"{len(self.hu)} slices, but {sources} source instances and frames")

    @property
    def slice_names(self) -> tuple[str, ...]:
        """What messages call each slice."""
        if not self.sop_instance_uids:
            return tuple(f"slice {index + 1}" for index in range(len(self.hu)))
        pairs = zip(self.sop_instance_uids, self.frame_numbers, strict=True)
        return tuple(f"SOP instance {uid} frame {number}" for uid, number in pairs)

    @property
    def slice_heights_mm(self) -> npt.NDArray[np.float64]:
        """(slice,) height in mm that each slice stands for, see `slice_heights_mm`."""
        return slice_heights_mm(self.slice_position_mm)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The steps that miss a slice; their blood is not counted."""
        return find_gaps(self.slice_position_mm)

    def volume_ml(self, mask: npt.NDArray[np.bool_]) -> float:
        """Volume of a mask (slice, row, column) in mL, by counting voxels of their own height."""
        if mask.shape != self.hu.shape:
            raise ValueError(f"the mask is {mask.shape}, the volume {self.hu.shape}")
        # Plane by plane: along axes NumPy adds up integers, eight times as slowly.
        pixels = np.array([np.count_nonzero(plane) for plane in mask])  # (slice,)
        area_mm2 = self.spacing_mm[0] * self.spacing_mm[1]
        return float(pixels @ self.slice_heights_mm) * area_mm2 / 1000
