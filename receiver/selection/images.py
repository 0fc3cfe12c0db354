"""Which series to analyse: a score, or the reason why not; a decision of values alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from receiver.instance.geometry import dot
from receiver.instance.header import Header
from receiver.selection.hints import hints_of, strongest
from receiver.selection.labels import LABEL_CHECKS
from receiver.selection.rules import SelectionRules
from receiver.selection.scoring import name_points, points_of
from receiver.selection.stacks import MOST_STACKS, Stack, split
from schema.scans import Scan, time_of_day

NOTHING_LEFT_OUT: Mapping[str, str] = MappingProxyType({})
NO_PLACE: Final = "no usable position or orientation"


@dataclass(frozen=True)
class Selection:
    """The verdict on one series.

    Attributes
    ----------
    score
        To be compared within a study; None for a series that is not analysed.
    reason
        What a stranger should read: how the score came about, or why there is none.
    left_out
        SOP Instance UID of each object that the analysis does not use, with the reason.
    scanned_at, from_mm, to_mm
        When and where its images were scanned (schema/scans.py).
    """

    score: float | None
    reason: str
    left_out: Mapping[str, str] = field(default_factory=lambda: NOTHING_LEFT_OUT)
    scanned_at: str = ""
    from_mm: float | None = None
    to_mm: float | None = None

    @property
    def scan(self) -> Scan:
        """What it is to be compared by with the other series of its study."""
        return Scan(self.score or 0.0, self.scanned_at, self.from_mm, self.to_mm)


@dataclass(frozen=True)
class _Candidate:
    """A stack with the reason against it, if there is one.

    Attributes
    ----------
    unwanted
        Its labels or its direction say that nobody would look for a bleed there.
    """

    stack: Stack
    reason: str | None
    unwanted: bool


def select_images(headers: Sequence[Header], rules: SelectionRules) -> Selection:
    """Select the images of one series by the headers of all its objects."""
    if not headers:
        return Selection(None, "no readable object")
    stacks = split(headers)
    if len(stacks) >= MOST_STACKS:
        return Selection(None, f"{MOST_STACKS} kinds of images and more in one series")
    candidates = [_examine(stack, rules) for stack in stacks]
    eligible = [candidate.stack for candidate in candidates if candidate.reason is None]
    if not eligible:
        return Selection(None, _rejection(candidates), scanned_at=_scanned_at(headers))
    lost = sum(
        candidate.stack.images
        for candidate in candidates
        if not candidate.unwanted and not candidate.stack.slice_position_mm
    )
    if lost:
        return Selection(None, f"{lost} of {len(headers)} images: {NO_PLACE}")
    best = max(eligible, key=lambda stack: (_score(stack, rules), -_order(stack, eligible)))
    unread = _unread(best, candidates)
    if unread > rules.stack.max_unread_fraction * (best.images + unread):
        return Selection(
            None,
            f"{best.images} axial images form a stack, {unread} more do not fit it and lie outside:"
            " part of the head would go unread",
        )
    return _accept(best, headers, candidates, rules)


def _examine(stack: Stack, rules: SelectionRules) -> _Candidate:
    reason = next((found for check in LABEL_CHECKS if (found := check(stack.first, rules))), None)
    reason = reason or _not_axial(stack, rules) or _vetoed(stack, rules)
    if reason:
        return _Candidate(stack, reason, unwanted=True)
    return _Candidate(stack, _time_series(stack, rules) or _size(stack, rules), unwanted=False)


def _not_axial(stack: Stack, rules: SelectionRules) -> str | None:
    if stack.normal is None or not stack.slice_position_mm:
        return None  # says nothing about where it lies; `_size` refuses it
    tilt = stack.degrees_off_axis
    if tilt > rules.stack.max_tilt_degrees:
        return f"not axial (slice normal {tilt:.0f} degrees off the patient's long axis)"
    return None


def _vetoed(stack: Stack, rules: SelectionRules) -> str | None:
    """Refuse by a hint that weighs so much that nobody looks at the images."""
    hint = strongest(hints_of(stack.first, rules))
    return hint.says if hint is not None and hint.points <= rules.hints.veto else None


def _time_series(stack: Stack, rules: SelectionRules) -> str | None:
    if stack.passes > rules.stack.max_images_per_position:
        return f"a time series: {stack.passes} images at most of its positions"
    return None


def _size(stack: Stack, rules: SelectionRules) -> str | None:
    limits = rules.stack
    if not stack.slice_position_mm:
        return NO_PLACE
    if len(stack.slice_position_mm) < stack.images:
        return "several images at one position, and nothing tells them apart"
    low, high = limits.min_spacing_mm, limits.max_spacing_mm
    spacing_mm = stack.first.spacing_mm
    if len(spacing_mm) != 2 or not all(low <= distance <= high for distance in spacing_mm):
        return f"pixel spacing outside {low:g} to {high:g} mm"
    if stack.images < limits.min_slices:
        return f"{stack.images} slice positions, fewer than {limits.min_slices}"
    if stack.extent_mm < limits.min_extent_mm:
        return f"covers {stack.extent_mm:.0f} mm, less than {limits.min_extent_mm:g} mm"
    if stack.extent_mm > limits.max_extent_mm:
        return f"covers {stack.extent_mm:.0f} mm, more than {limits.max_extent_mm:g} mm"
    return None


def _score(stack: Stack, rules: SelectionRules) -> float:
    return sum(points_of(stack, rules).values())


def _order(stack: Stack, stacks: Sequence[Stack]) -> int:
    """Place a stack by its acquisition: of two time points, contrast only comes with the second."""
    begins = [min(header.acquired for header in other.headers) for other in stacks]
    return sorted(begins).index(min(header.acquired for header in stack.headers))


def _rejection(candidates: Sequence[_Candidate]) -> str:
    """Give the reason against the largest stack, one that shows a head if there is any."""
    wanted = [candidate for candidate in candidates if not candidate.unwanted] or candidates
    return wanted[0].reason or ""


def _unread(best: Stack, candidates: Sequence[_Candidate]) -> int:
    """Count the axial images outside of the stack that is analysed: they may show a bleed."""
    margin_mm = best.extent_mm / max(len(best.slice_position_mm) - 1, 1)
    low, high = best.slice_position_mm[0] - margin_mm, best.slice_position_mm[-1] + margin_mm
    normal = best.normal or (0.0, 0.0, 1.0)
    others = [
        candidate.stack
        for candidate in candidates
        if not candidate.unwanted and candidate.stack is not best
    ]
    positions = [
        at for stack in others for header in stack.headers for at in header.image_position_mm
    ]
    return sum(len(at) != 3 or not low <= dot(at, normal) <= high for at in positions)


def _accept(
    best: Stack, headers: Sequence[Header], candidates: Sequence[_Candidate], rules: SelectionRules
) -> Selection:
    left_out = {
        header.identity.sop_instance_uid: candidate.reason
        or "at a position that is analysed already"
        for candidate in candidates
        if candidate.stack is not best
        for header in candidate.stack.headers
    }
    below = _below_the_head(best, rules)
    left_out |= {header.identity.sop_instance_uid: "below the head" for header in below}
    points = points_of(best, rules)
    if left_out:
        points["images left out"] = rules.score.left_out
    if below:
        points["longer than a head"] = rules.score.longer_than_head
    score = round(sum(points.values()), 3)
    kept = [header for header in best.headers if header not in below]
    scanned_at = _scanned_at(kept)
    return Selection(
        score,
        _account(points, left_out, len(headers), scanned_at),
        left_out,
        scanned_at,
        best.slice_position_mm[0],
        best.slice_position_mm[-1],
    )


def _scanned_at(headers: Sequence[Header]) -> str:
    """Give the moment of the first image; empty where none says it."""
    return min((header.acquired[0][:26] for header in headers if header.acquired[0]), default="")


def _below_the_head(stack: Stack, rules: SelectionRules) -> list[Header]:
    """List the slices of head and neck in one series that lie too far down to show brain."""
    if stack.extent_mm <= rules.stack.head_extent_mm or len(stack.headers) == 1:
        return []
    normal = stack.normal or (0.0, 0.0, 1.0)
    lowest_mm = stack.slice_position_mm[-1] - rules.stack.head_extent_mm
    return [
        header for header in stack.headers if dot(header.image_position_mm[0], normal) < lowest_mm
    ]


def _account(
    points: Mapping[str, float], left_out: Mapping[str, str], total: int, scanned_at: str
) -> str:
    at = time_of_day(scanned_at)
    text = f"eligible: {name_points(points)}" + (f"; scanned at {at}" if at else "")
    if not left_out:
        return text
    counts: dict[str, int] = {}
    for reason in left_out.values():
        counts[reason] = counts.get(reason, 0) + 1
    listed = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    return f"{text}; {len(left_out)} of {total} objects left out: {listed}"
