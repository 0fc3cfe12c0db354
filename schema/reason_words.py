"""What a reason tells by its words, for those who decide by it.

A release before this one wrote the same words, so its rows are told apart as well. Tests hold the
words against those who write them.
"""

from typing import Final

ANOTHER_SERIES: Final = (
    "send the head as its own series",
    "send the plain series",
    "send the conventional series",
    "send the CT series",
)
# Of a skull whose values nobody knows: it may be a bleeding head. The release before this one wrote
# one of the endings above behind it.
NO_HOUNSFIELD: Final = "no Hounsfield units"
# Of a series on which every decision failed: nobody knows what it shows.
UNDECIDED: Final = "its selection ended with an error in this software; the receiver's log has it"
MAY_BE_A_HEAD: Final = (
    UNDECIDED,
    "no readable object",
    "no usable position or orientation",
    "several images at one position",
    "pixel spacing outside",
    "part of the head would go unread",
    "kinds of images and more in one series",
    "values are",
    # Who came first is the study's patient: nobody knows yet whose head was read and whose was not.
    "two patients in one series",
    "its patient is not the study's",
)
# Of a bone series; of a head, unless the names call it another part, a soft sibling shows the scan.
SHARP_KERNEL: Final = "sharp kernel"
ANOTHER_PART: Final = "of another part by its names"
PART_SEEN: Final = "in the part seen"


def is_ruled_out(reason: str | None) -> bool:
    """Say whether a worker found no plain head; any other reason says nothing of what is shown."""
    said = reason or ""
    return said.endswith(ANOTHER_SERIES) and NO_HOUNSFIELD not in said


def is_a_head_in_bone(reason: str | None) -> bool:
    """Say whether a kernel alone refused images: another series may show the same scan."""
    said = reason or ""
    return said.startswith(SHARP_KERNEL) and ANOTHER_PART not in said


def may_be_a_head(reason: str | None) -> bool:
    """Say whether images were refused for how they came, which says nothing of what they show."""
    return any(words in (reason or "") for words in MAY_BE_A_HEAD)
