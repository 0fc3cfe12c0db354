"""What two series of one study are to each other: the same slices once more, or something else.

Cerebrum and base, an upper and a lower half, a repeat after motion, a control six hours later: each
shows what the other does not, so both are analysed and neither speaks for the other. A thin and a
thick reconstruction of one scan show the same, so the better one speaks for both.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

SAME_KIND_POINTS: Final = 7.0  # of the score: a contrast series is further from a plain one
ANOTHER_SCAN_S: Final = 30.0  # between the first slices; reconstructions of one scan share theirs
# Phases of one examination follow each other within minutes. What was scanned long after is a scan
# of its own, whatever is written on it, and the look decides: scanners stamp the agent of an
# angiography into the control of that evening, and `post`, `delayed` or a lost kernel say little.
ANOTHER_EXAMINATION_S: Final = 1800.0
NOT_ELSEWHERE_POINTS: Final = 28.0  # a series that no name calls a head is further from one that is
# The base of a head in two parts may be called after the petrous bone or the orbit.
PART_OF_HEAD_POINTS: Final = 14.0
WHOLE_HEAD_MM: Final = 120.0  # what is shorter may lack a part
ANOTHER_PART_MM: Final = 25.0  # beyond the other's slices; scans of one head differ by less


@dataclass(frozen=True)
class Scan:
    """When and where the images of a series were scanned.

    Attributes
    ----------
    score
        Of the selection.
    scanned_at
        Date and time of its first slice as DICOM writes them, without a zone; empty if not known.
    from_mm, to_mm
        Its lowest and highest slice along the normal; None if not known.
    """

    score: float
    scanned_at: str = ""
    from_mm: float | None = None
    to_mm: float | None = None

    @property
    def extent_mm(self) -> float:
        """From its lowest to its highest slice; 0 if not known."""
        return (self.to_mm or 0.0) - (self.from_mm or 0.0)


def adds(scan: Scan, other: Scan) -> str:
    """Say what a scan shows that another one of its kind does not; empty if nothing."""
    apart = abs(scan.score - other.score)
    between_s = seconds_between(other.scanned_at, scan.scanned_at) or 0.0
    if abs(between_s) >= ANOTHER_SCAN_S and apart <= _points_between_scans(between_s):
        later = "later" if between_s > 0 else "earlier"
        return f"another scan, {_duration(abs(between_s))} {later}"
    beyond_mm = _beyond_mm(scan, other)
    if beyond_mm >= ANOTHER_PART_MM and apart <= _points_between_parts(scan, other):
        return f"another part, {beyond_mm:.0f} mm that the other does not show"
    return ""


def _points_between_scans(between_s: float) -> float:
    return NOT_ELSEWHERE_POINTS if abs(between_s) >= ANOTHER_EXAMINATION_S else SAME_KIND_POINTS


def _points_between_parts(scan: Scan, other: Scan) -> float:
    short = max(scan, other, key=lambda each: each.score).extent_mm < WHOLE_HEAD_MM
    return PART_OF_HEAD_POINTS if short else SAME_KIND_POINTS


def is_another_examination(scanned_at: str, other: str) -> bool:
    """Say whether two scans are so far apart that they are no phases of one examination."""
    return abs(seconds_between(scanned_at, other) or 0.0) >= ANOTHER_EXAMINATION_S


def seconds_between(first: str, second: str) -> float | None:
    """Measure from one moment to another; None where one is not known or lacks its date."""
    moments = (_moment(first), _moment(second))
    if moments[0] is None or moments[1] is None or (len(first) >= 14) != (len(second) >= 14):
        return None
    return (moments[1] - moments[0]).total_seconds()


def time_of_day(scanned_at: str) -> str:
    """Give a moment's time as people read it; empty if it is not known."""
    moment = _moment(scanned_at)
    return "" if moment is None else f"{moment:%H:%M:%S}"


def _moment(text: str) -> datetime | None:
    moment = text.split(".")[0]
    try:
        return datetime.strptime(moment, "%Y%m%d%H%M%S" if len(moment) > 8 else "%H%M%S")
    except ValueError:
        return None


def _beyond_mm(scan: Scan, other: Scan) -> float:
    if scan.from_mm is None or scan.to_mm is None or other.from_mm is None or other.to_mm is None:
        return 0.0
    return max(other.from_mm - scan.from_mm, 0.0) + max(scan.to_mm - other.to_mm, 0.0)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
