"""How much of a head was seen: from where to where, which share of it, and what lies in gaps."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.volume import GAP_FACTOR, usual_steps_mm

LEAST_CM2: Final = 8.0  # a smaller section of brain is the foramen magnum, or a leak
HEAD_CM2: Final = 40.0  # the largest section of a newborn's brain has 60
OPEN_HEAD_CM2: Final = 80.0  # jaw and neck have an outline of bone too, and less within
HOLE_MM: Final = 20.0  # slices without brain among others with much: metal, or a skull that leaks
MUCH: Final = 0.35  # of the largest section
THICKNESS_MM: Final = (0.3, 20.0)  # a Slice Thickness outside is a slip of the sender
ROUNDING: Final = 1.05  # of a nominal thickness: 0.6 mm are written for 0.625, 5 mm lie 5.02 apart
THICKEST_MM: Final = 8.0  # a usual slice of a vault; a thicker one has to say so
LEAST_RADIUS_MM: Final = 65.0  # a grown head's, where the widest section may not be in the series
WIDENING: Final = 1.5  # outwards a skull narrows; an open outline that widens is jaw and neck
NEGLIGIBLE_MM: Final = 10.0  # an end that is nearer than that is within the estimate's own error
END_SHARE: Final = 0.5  # a wider section at the end of the stretch is no vertex and no skull base
BASE_SHARE: Final = 0.15  # of the widest section: what the skull encloses at the foramen magnum

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class UnseenGap:
    """Two neighbours that lie too far apart."""

    from_mm: float
    to_mm: float
    unseen_mm: float  # the distance less the thickness of a slice

    @property
    def distance_mm(self) -> float:
        """From one slice's middle to the next one's."""
        return self.to_mm - self.from_mm


@dataclass(frozen=True)
class Coverage:
    """The part of the head that was seen, along the normal.

    Attributes
    ----------
    from_mm, to_mm
        Lower and upper face of the lowest and highest slice with brain.
    share
        Of the height from skull base to vertex, 0 ... 1, gaps left out. What lies beyond the series
        is estimated from the sections at its ends: a skull narrows towards base and vertex.
    gaps
        Within from_mm ... to_mm.
    usual_unseen_mm
        What neighbours usually leave out between them.
    is_stated
        Whether the slices say how thick they are; else they are taken to touch.
    """

    from_mm: float
    to_mm: float
    share: float
    gaps: tuple[UnseenGap, ...]
    usual_unseen_mm: float = 0.0
    is_stated: bool = True

    def to_json(self) -> dict[str, object]:
        """Give the form that job, study and page agree on."""
        return {
            "from_mm": round(self.from_mm, 1),
            "to_mm": round(self.to_mm, 1),
            "share": round(self.share, 3),
            "gaps": [
                {"from_mm": round(gap.from_mm, 1), "to_mm": round(gap.to_mm, 1)}
                for gap in self.gaps
            ],
        }


@dataclass(frozen=True, eq=False)
class Profile:
    """What the slices that were looked at hold, from the lowest to the highest.

    Attributes
    ----------
    slice_position_mm
        (section,) where they lie.
    brain_cm2
        (section,) area of brain.
    closed
        (section,) whether the skull around it is closed.
    """

    slice_position_mm: Numbers
    brain_cm2: Numbers
    closed: npt.NDArray[np.bool_]

    def brain_run(self) -> tuple[int, int] | None:
        """Return the first and last section of the stretch with brain; None where there is no head.

        Up and down from the largest section, so that what the neck's bones enclose does not count.
        """
        enough = self.brain_cm2 >= np.where(self.closed, HEAD_CM2, OPEN_HEAD_CM2)
        if not enough.any():
            return None
        widest = int(np.where(enough, self.brain_cm2, 0).argmax())
        down = list(range(widest, -1, -1))
        up = list(range(widest, len(self.brain_cm2)))
        return down[self._reach(down)], up[self._reach(up)]

    def _reach(self, outwards: list[int]) -> int:
        """Count the steps outwards to the last section with brain; short holes are stepped over."""
        last = 0
        for step, index in enumerate(outwards):
            if self.brain_cm2[index] < LEAST_CM2 or step == 0:
                continue
            if self._is_other(outwards[last], index, skipped=step - last > 1):
                break
            last = step
        return last

    def _is_other(self, inner: int, outer: int, *, skipped: bool) -> bool:
        """Tell whether a section further out belongs to something else: the jaw, the neck."""
        area, inner_area = self.brain_cm2[outer], self.brain_cm2[inner]
        if not self.closed[outer] and area > WIDENING * inner_area:
            return True
        apart_mm = abs(self.slice_position_mm[outer] - self.slice_position_mm[inner])
        return skipped and bool(apart_mm > HOLE_MM or area < MUCH * self.brain_cm2.max())


def measure(
    profile: Profile, slice_position_mm: Numbers, thickness_mm: Numbers | float | None = None
) -> Coverage | None:
    """Measure what was seen of the head, or None where there is none.

    Parameters
    ----------
    profile
        What the slices that were looked at hold.
    slice_position_mm
        (slice,) places of all slices, rising; gaps are looked for among them.
    thickness_mm
        Slice Thickness (0018,0050) of all slices or (slice,) of each, NaN where it is not known:
        such slices are taken to be as thick as their usual step, 8 mm at most.
    """
    run = profile.brain_run()
    if run is None:
        return None
    lowest, highest = (float(profile.slice_position_mm[end]) for end in run)
    stated, thick = _thickness_mm(slice_position_mm, thickness_mm)
    inside = (slice_position_mm[:-1] >= lowest) & (slice_position_mm[1:] <= highest)
    unseen = _unseen_mm(np.diff(slice_position_mm), stated, thick) * inside
    gaps = _gaps(slice_position_mm, thick, unseen)
    below, above = (mm if mm > NEGLIGIBLE_MM else 0.0 for mm in _missing_mm(profile.brain_cm2, run))
    half_mm = float(np.median(thick)) / 2
    extent_mm = highest - lowest + 2 * half_mm
    share = (extent_mm - float(unseen.sum())) / (extent_mm + below + above)
    usual_unseen_mm = float(np.median(unseen[inside])) if inside.any() else 0.0
    is_stated = bool(stated[inside].all())
    return Coverage(lowest - half_mm, highest + half_mm, share, gaps, usual_unseen_mm, is_stated)


def _thickness_mm(
    slice_position_mm: Numbers, thickness_mm: Numbers | float | None
) -> tuple[npt.NDArray[np.bool_], Numbers]:
    """(step,) whether a thickness is stated for it, and how much of it its two slices show.

    By slice, since a head is often thin slices at the base and thick ones above.
    """
    given = np.nan if thickness_mm is None else thickness_mm
    each = np.broadcast_to(np.asarray(given, np.float64), slice_position_mm.shape)
    each = np.where((each >= THICKNESS_MM[0]) & (each <= THICKNESS_MM[1]), each, np.nan)
    shown = (each[:-1] + each[1:]) / 2
    stated = np.isfinite(shown)
    guessed = np.minimum(usual_steps_mm(np.diff(slice_position_mm)), THICKEST_MM)
    return stated, np.where(stated, shown, guessed)


def _unseen_mm(steps: Numbers, stated: npt.NDArray[np.bool_], thick: Numbers) -> Numbers:
    """(step,) what no slice shows of it; where the thickness is guessed, steps may be uneven."""
    guessed = np.minimum(GAP_FACTOR * thick, ROUNDING * THICKEST_MM)
    return np.where(steps > np.where(stated, ROUNDING * thick, guessed), steps - thick, 0.0)


def _gaps(slice_position_mm: Numbers, thick: Numbers, unseen: Numbers) -> tuple[UnseenGap, ...]:
    return tuple(
        UnseenGap(float(below), float(above), float(missing))
        for below, above, own, missing in zip(
            slice_position_mm, slice_position_mm[1:], thick, unseen, strict=False
        )
        if missing > (GAP_FACTOR - 1) * own
    )


def _missing_mm(brain_cm2: Numbers, run: tuple[int, int]) -> tuple[float, float]:
    """Estimate the height of the brain below and above the series.

    A slice without brain beyond a narrow section proves an end. Else: the vault is an ellipsoid, so
    at a share s of the widest section the vertex is r (1 - sqrt(1 - s)) away; below, the section
    falls about evenly over r, measured on the CT-ICH patients. r is the radius of a circle of the
    widest section.
    """
    first, last = run
    widest = float(brain_cm2[first : last + 1].max())
    radius_mm = float(np.sqrt(widest * 100 / np.pi))
    below, above = (float(brain_cm2[end]) / widest for end in run)
    if max(below, above) > 0.95:  # the widest is at an end: a wider one may be beyond it
        radius_mm = max(radius_mm, LEAST_RADIUS_MM)
    base_seen = first > 0 and below <= END_SHARE
    vertex_seen = last < len(brain_cm2) - 1 and above <= END_SHARE
    return (
        0.0 if base_seen else radius_mm * max(0.0, below - BASE_SHARE),
        0.0 if vertex_seen else radius_mm * (1 - float(np.sqrt(1 - above))),
    )
