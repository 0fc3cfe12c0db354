"""Split the images of one series into stacks that a reader would look through as one.

Most series are one stack. A localizer among the slices, two kernels, two time points or a few
slices with another field of view make more.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Final

from receiver.instance.geometry import degrees_off_axis, distinct, dot, normal_of, same_direction
from receiver.instance.header import Header, Vector

MOST_STACKS: Final = 64  # of a series; one with more is no series, and comparing all takes hours
ROUNDING_MM: Final = 1e-6
WHOLE: Final = 0.9  # of the extent of all acquisitions, for one that was not broken off
LACKING: Final = 1.5  # steps by which a whole one may end before another: a slice, however rounded


@dataclass(frozen=True)
class Stack:
    """Images with the same labels, direction and spacing.

    Attributes
    ----------
    headers
        One for each object; an Enhanced CT object is a stack of its own.
    passes
        How many images the series has at most of its positions; more than one are time points.
    common
        The normal of the whole that this is a part of. Its own first image may lie at one end of
        what is still the same direction, and the others at the other end.
    """

    headers: tuple[Header, ...]
    passes: int = 1
    common: Vector | None = None

    @property
    def first(self) -> Header:
        """The header that stands for all: their labels are the same."""
        return self.headers[0]

    @cached_property
    def normal(self) -> Vector | None:
        """Towards the patient's head; None without a usable and common orientation."""
        if self.common is not None:
            return self.common
        orientations = [
            orientation for header in self.headers for orientation in header.orientations
        ]
        if not orientations or not all(same_direction(orientations[0], o) for o in orientations):
            return None
        return normal_of(orientations[0])

    @cached_property
    def slice_position_mm(self) -> list[float]:
        """Different places along the normal, sorted; empty if one of them is not known."""
        positions = [position for header in self.headers for position in header.image_position_mm]
        if self.normal is None or any(len(position) != 3 for position in positions):
            return []
        return distinct([dot(position, self.normal) for position in positions])

    @property
    def images(self) -> int:
        """How many images it has, counting the frames of an Enhanced CT."""
        return sum(len(header.image_position_mm) for header in self.headers)

    @property
    def extent_mm(self) -> float:
        """From the first to the last place."""
        return (
            self.slice_position_mm[-1] - self.slice_position_mm[0]
            if self.slice_position_mm
            else 0.0
        )

    @property
    def degrees_off_axis(self) -> float:
        """Between the normal and the patient's long axis; 90 if there is no normal."""
        return 90.0 if self.normal is None else degrees_off_axis(self.normal)

    def part(self, headers: Iterable[Header], passes: int = 1) -> "Stack":
        """Give some of its objects as a stack of their own, of the same direction."""
        return Stack(tuple(headers), passes, self.normal)


def split(headers: Sequence[Header]) -> list[Stack]:
    """Split a series, the largest stack first."""
    groups: list[list[Header]] = []
    for header in sorted(headers, key=_unknowns):  # the fullest stands for its group
        group = next((gathered for gathered in groups if _belongs(header, gathered[0])), None)
        if group is None and len(groups) == MOST_STACKS:
            group = groups[-1]
        if group is None:
            groups.append([header])
        else:
            group.append(header)
    stacks = [stack for group in groups for stack in _passes(Stack(tuple(group)))]
    return sorted(stacks, key=lambda stack: -stack.images)


def _belongs(header: Header, other: Header) -> bool:
    return (
        _facts(header) == _facts(other)
        and all(
            label == another or not label or not another  # what a slice does not say parts no stack
            for label, another in zip(_labels(header), _labels(other), strict=True)
        )
        and same_direction(_orientation(header), _orientation(other))
        and same_direction(header.spacing_mm, other.spacing_mm)
    )


def _facts(header: Header) -> tuple[object, ...]:
    multi_frame = header.identity.sop_instance_uid if len(header.image_position_mm) != 1 else ""
    return (
        header.identity.sop_class_uid,
        multi_frame,  # its frames cannot be parted, nor joined with others
        bool(header.contrast_agent),
        header.rows,
        header.columns,
        all(len(position) == 3 for position in header.image_position_mm),
    )


def _labels(header: Header) -> tuple[object, ...]:
    return (
        header.modality,
        header.image_type[:3],  # GE writes a fourth value on some slices of a series
        header.kernel,
        header.burned_in,
        header.rescale_type,
        round(header.kvp or 0),
    )


def _unknowns(header: Header) -> int:
    return sum(not label for label in _labels(header))


def _orientation(header: Header) -> Vector:
    return header.orientations[0] if header.orientations else ()


def _passes(stack: Stack) -> list[Stack]:
    """Part time points: the first image of each place, by acquisition, then the second, ...

    Only where the acquisitions tell them apart; else nobody knows which images belong together. A
    scan that was broken off and done again as a whole is parted by its numbers: of motion and its
    repeat, the first image of each place would be a head that nobody scanned.
    """
    if (
        stack.images == len(stack.slice_position_mm)
        or len(stack.headers) == 1
        or not stack.slice_position_mm
    ):
        return [stack]
    by_place = _by_place(stack)
    counts = sorted(map(len, by_place))
    usual = counts[len(counts) // 2]
    if any(len({header.acquired[:2] for header in images}) < len(images) for images in by_place):
        return [stack.part(stack.headers, usual)]
    if acquisitions := _repeated_whole(stack):
        return [stack.part(headers, usual) for headers in acquisitions]
    return [
        stack.part((images[rank] for images in by_place if rank < len(images)), usual)
        for rank in range(counts[-1])
    ]


def _repeated_whole(stack: Stack) -> list[tuple[Header, ...]]:
    """Part a stack by acquisition number where one was broken off and a later one is the whole.

    Empty otherwise: a scanner may number each rotation, or the two parts of a head.
    """
    by_number: dict[int, list[Header]] = {}
    for header in sorted(stack.headers, key=lambda header: header.acquired):
        by_number.setdefault(header.acquired[1], []).append(header)
    acquisitions = [stack.part(headers) for headers in by_number.values()]
    at = next((at for at, found in enumerate(acquisitions) if _shows_all_of(stack, found)), 0)
    before = stack.part(header for part in acquisitions[:at] for header in part.headers)
    if at == 0 or before.extent_mm >= WHOLE * stack.extent_mm:
        return []
    return [acquisition.headers for acquisition in acquisitions]


def _shows_all_of(stack: Stack, acquisition: Stack) -> bool:
    """Say whether an acquisition has all that a stack shows, but a slice, and no place twice."""
    places, whole = acquisition.slice_position_mm, stack.slice_position_mm
    if not places:
        return False
    most_mm = LACKING * acquisition.extent_mm / max(len(places) - 1, 1)
    reaches = places[0] - whole[0] <= most_mm and whole[-1] - places[-1] <= most_mm
    return reaches and acquisition.images == len(places)


def _by_place(stack: Stack) -> list[list[Header]]:
    normal = stack.normal or (0.0, 0.0, 1.0)

    def place(header: Header) -> int:
        return bisect_right(
            stack.slice_position_mm, dot(header.image_position_mm[0], normal) + ROUNDING_MM
        )

    ordered = sorted(stack.headers, key=lambda header: (place(header), header.acquired))
    return [list(images) for _, images in groupby(ordered, key=place)]
