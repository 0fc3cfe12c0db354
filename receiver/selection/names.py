"""Read one name: which of the table's words it has, and what it says of contrast as a whole."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from receiver.selection.words import Kind, Mark, Words

NEAR: Final = 2  # tokens between a denial and what it denies: `without any iv contrast`
ALONE: Final = ("w", "w /", "with", "mit", "avec", "c /")  # at the end of a name: with contrast
ROUTINE_KEV: Final = range(60, 81)  # about the contrast of an ordinary 120 kV image
NAME_OF_ONE_TUBE: Final = re.compile(r"(?:^|[\W_])[AB]_?(?:Sn)?\d{2,3}\s?kV\b", re.IGNORECASE)
ENERGY: Final = re.compile(
    r"(\d{2,3})\s*k\s?e\s?v\b|(?:mono|vmi)\w*[\W_]*(?:plus[\W_]*)?(\d{2,3})\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Contrast:
    """The words by which a name says that contrast is given, and that it is not; both in `W/WO`."""

    given: str = ""
    denied: str = ""


@dataclass(frozen=True)
class Reading:
    """What one name says."""

    marks: tuple[Mark, ...]

    def word(self, *kinds: Kind) -> str:
        """Give the first word of one of these kinds; empty if there is none."""
        return next((mark.text for mark in self.marks if mark.kinds & set(kinds)), "")

    @cached_property
    def contrast(self) -> Contrast:
        """Weigh denials and agents against each other, from left to right."""
        given, denied, at = "", "", 0
        while at < len(self.marks):
            says, stop = _statement(self.marks, at)
            text = " ".join(mark.text for mark in self.marks[at:stop])
            if says is True:
                given = given or text
            elif says is False:
                denied = denied or text
            at = stop
        return Contrast(given, denied)


def read(words: Words, name: str) -> Reading:
    """Find the words of the table in a name."""
    return Reading(words.marks_in(name))


def agent_given(words: Words, value: str) -> bool:
    """Say whether Contrast/Bolus Agent, volume and route name something in the vessels."""
    reading = read(words, value)
    marks = reading.marks
    if not any(sign.isalnum() for sign in value):
        return False
    if marks and marks[0].start == 0 and Kind.NO_AGENT in marks[0].kinds:
        return False
    if reading.contrast.denied and not reading.contrast.given:
        return False
    return bool(reading.contrast.given) or not reading.word(Kind.NOT_VASCULAR)


def names_one_tube(name: str) -> bool:
    """Say whether a name is that of one energy of a dual-source scan: `A_80kV`, `B_Sn140kV`."""
    return NAME_OF_ONE_TUBE.search(name) is not None


def energy_kev(name: str) -> int | None:
    """Give the energy that a virtual mono-energetic image names: `70 keV`, `Mono+ 55`."""
    hit = ENERGY.search(name)
    return int(hit[1] or hit[2]) if hit else None


def _statement(marks: Sequence[Mark], at: int) -> tuple[bool | None, int]:
    """Read what begins at a mark: contrast given, denied, or neither; and where it ends."""
    kinds = marks[at].kinds
    if kinds & {Kind.PLAIN, Kind.ENHANCED}:
        return Kind.ENHANCED in kinds, at + 1
    agents = _agents_after(marks, at)
    if kinds & {Kind.DENIAL, Kind.WEAK_DENIAL}:
        return (False if agents > at + 1 or Kind.DENIAL in kinds else None), agents
    if Kind.AGENT in kinds:
        denied = (
            agents < len(marks)
            and _near(marks, agents - 1, agents)
            and (Kind.DENIAL_AFTER in marks[agents].kinds)
        )
        return not denied, agents + denied
    if Kind.WITH in kinds and (agents > at + 1 or _joins_a_denial(marks, at)):
        return True, agents
    return None, at + 1


def _agents_after(marks: Sequence[Mark], at: int) -> int:
    stop = at + 1
    while stop < len(marks) and Kind.AGENT in marks[stop].kinds and _near(marks, stop - 1, stop):
        stop += 1
    return stop


def _joins_a_denial(marks: Sequence[Mark], at: int) -> bool:
    """Say whether this is the first half of `with and without`, or a `W/` that ends the name."""
    after = [mark for mark in marks[at + 1 :] if Kind.AND not in mark.kinds]
    if not after:
        return at == len(marks) - 1 and marks[at].text in ALONE and marks[at].last
    joined = after[0].start - marks[at].stop <= 1
    return joined and bool(after[0].kinds & {Kind.DENIAL, Kind.PLAIN})


def _near(marks: Sequence[Mark], first: int, second: int) -> bool:
    return marks[second].start - marks[first].stop <= NEAR
