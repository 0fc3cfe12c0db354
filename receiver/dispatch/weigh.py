"""Weigh a series: how many points it has in the queue, and what for. A function of values."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from receiver.dispatch.order import Order
from schema.dicom import DimsePriority

NO_WORD: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Sent:
    """What is known of how a series was sent and asked for.

    Attributes
    ----------
    was_analysed
        Whether a result of it is shown already.
    scanned_days_ago
        Whole days since it was scanned; None if that is not known.
    """

    calling_ae: Collection[str] = ()
    called_ae: Collection[str] = ()
    station: str = ""
    dimse_priorities: Collection[DimsePriority] = ()
    requested_priority: str = ""
    locations: Collection[str] = ()
    descriptions: Collection[str] = ()
    was_analysed: bool = False
    scanned_days_ago: int | None = None


@dataclass(frozen=True)
class Reason:
    """Points, and what they are for: names of the order's own file, nothing of a patient."""

    says: str
    points: float


@dataclass(frozen=True)
class Weight:
    """The points of a job, by which version of the order, and why."""

    version: str
    reasons: tuple[Reason, ...]

    @property
    def points(self) -> float:
        """The sum."""
        return sum(reason.points for reason in self.reasons)

    def to_json(self) -> dict[str, Any]:
        """Give what the job's row keeps."""
        reasons = [{"says": each.says, "points": each.points} for each in self.reasons]
        return {"version": self.version, "reasons": reasons}


def weigh(sent: Sent, order: Order) -> Weight:
    """Add up what speaks for a series and against it."""
    found = [reason for reason in _reasons(sent, order) if reason is not None and reason.points]
    return Weight(order.version, tuple(found))


def _reasons(sent: Sent, order: Order) -> Iterator[Reason | None]:
    yield _by_pattern("calling AE", sent.calling_ae, order.calling_ae)
    yield _by_pattern("called AE", sent.called_ae, order.called_ae)
    yield _by_pattern("station", [sent.station], order.station)
    yield _by_priority(sent.dimse_priorities, order)
    yield _by_pattern("requested priority", [sent.requested_priority], order.requested_priority)
    yield _by_word("location", sent.locations, order.location)
    yield _by_word("description", sent.descriptions, order.description)
    if sent.was_analysed:
        yield Reason("analysed before", order.other.analysed_before)
    if (sent.scanned_days_ago or 0) >= order.other.scanned_days:
        yield Reason(f"scanned {sent.scanned_days_ago} days ago", order.other.scanned_before)


def _by_pattern(what: str, values: Collection[str], table: Mapping[str, float]) -> Reason | None:
    given = [value.strip().upper() for value in values if value.strip()]
    fitting = [name for name in table if any(fnmatchcase(each, name.upper()) for each in given)]
    return _best(what, fitting, table)


def _by_word(what: str, values: Collection[str], table: Mapping[str, float]) -> Reason | None:
    """Find whole words, so that ED is not found in MEDICINE."""
    texts = [_spaced(value) for value in values]
    fitting = [name for name in table if any(_spaced(name) in each for each in texts)]
    return _best(what, fitting, table)


def _by_priority(priorities: Collection[DimsePriority], order: Order) -> Reason | None:
    if not priorities:
        return None
    highest = next(
        each
        for each in (DimsePriority.HIGH, DimsePriority.MEDIUM, DimsePriority.LOW)
        if each in priorities
    )
    points = getattr(order.dimse_priority, highest.name.lower())
    return Reason(f"DIMSE priority {highest.name}", points)


def _best(what: str, names: Collection[str], table: Mapping[str, float]) -> Reason | None:
    if not names:
        return None
    name = max(names, key=table.__getitem__)
    return Reason(f"{what} {name}", table[name])


def _spaced(value: str) -> str:
    return f" {NO_WORD.sub(' ', value.upper()).strip()} "
