"""Which of the forms of a result are written; a form that nobody is sent costs time alone."""

from dataclasses import dataclass
from typing import Final, Literal

# A frame for each segment of each slice, or a segment number for each pixel.
SegmentationType = Literal["BINARY", "LABELMAP"]  # (0062,0001), PS3.3 C.8.20.2

# Whom an object may be sent to: everybody; who takes what marks a place; of these, who takes label
# maps instead of binary masks; who takes a report that refers to no masks.
Audience = Literal["all", "full", "labelmap", "triage"]


@dataclass(frozen=True)
class Forms:
    """The forms that the destinations take.

    Attributes
    ----------
    segmentations
        How masks are written; the report refers to the binary ones.
    unlocated_report
        Also a report that refers to no segment, for who is sent no binary masks.
    """

    segmentations: tuple[SegmentationType, ...] = ("BINARY",)
    unlocated_report: bool = False


FOR_THE_PAGE: Final = Forms()
