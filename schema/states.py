"""States, outcomes and levels of priority, and the one table of moves between states."""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from schema.errors import IllegalMoveError


class StudyState(StrEnum):
    """Where a study is on its way from the scanner to the worklist."""

    RECEIVING = "RECEIVING"
    READY = "READY"
    RUNNING = "RUNNING"
    DONE = "DONE"


class SeriesState(StrEnum):
    """Whether a series still arrives, and whether it was chosen for analysis."""

    RECEIVING = "RECEIVING"
    SELECTED = "SELECTED"
    REJECTED = "REJECTED"


class JobState(StrEnum):
    """Where an analysis job stands; the database is the queue of record."""

    READY = "READY"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"


class DeliveryState(StrEnum):
    """Where a delivery stands; only COMMITTED is shown as "in PACS"."""

    WAITING = "WAITING"
    SENDING = "SENDING"
    SENT = "SENT"  # accepted; an archive has yet to confirm that it keeps it
    DELIVERED = "DELIVERED"  # accepted, and nothing else is to be confirmed
    COMMITTED = "COMMITTED"
    FAILED = "FAILED"
    SUPERSEDED = "SUPERSEDED"


class ProcessState(StrEnum):
    """What a running part says of itself; one that says nothing any more is silent."""

    STARTING = "STARTING"
    READY = "READY"
    NOT_READY = "NOT_READY"
    STOPPED = "STOPPED"  # by its operator
    FAILED = "FAILED"  # by a fault of its own


class Outcome(StrEnum):
    """What a study ends with; NOT_ANALYSED and FAILED are never shown as negative."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    INDETERMINATE = "INDETERMINATE"
    NOT_ANALYSED = "NOT_ANALYSED"
    FAILED = "FAILED"


class Level(IntEnum):
    """The place in the reading list; 0 keeps its normal place."""

    NOT_ANALYSED = 0
    CRITICAL = 1
    HIGH = 2
    REVIEW = 3
    NONE_FOUND = 4


def urgency(priority: int) -> int:
    """Rank a level: 1 to 3 are moved up; 0 and 4 both keep the list's own order."""
    return priority if priority != Level.NOT_ANALYSED else Level.NONE_FOUND


# One table a kind of state: StrEnum members of two kinds with one name are equal.
MOVES: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = MappingProxyType(
    {
        # A late instance or a second series takes a study back.
        StudyState: {
            StudyState.RECEIVING: frozenset({StudyState.READY, StudyState.DONE}),
            StudyState.READY: frozenset(
                {StudyState.RUNNING, StudyState.DONE, StudyState.RECEIVING}
            ),
            StudyState.RUNNING: frozenset(
                {StudyState.DONE, StudyState.READY, StudyState.RECEIVING}
            ),
            StudyState.DONE: frozenset(
                {StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING}
            ),
        },
        SeriesState: {
            SeriesState.RECEIVING: frozenset({SeriesState.SELECTED, SeriesState.REJECTED}),
            SeriesState.SELECTED: frozenset({SeriesState.RECEIVING}),
            SeriesState.REJECTED: frozenset({SeriesState.RECEIVING}),
        },
        # A job never comes back once it ended: the next revision is a new one.
        JobState: {
            JobState.READY: frozenset({JobState.RUNNING, JobState.SUPERSEDED}),
            JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.READY}),
            JobState.DONE: frozenset(),
            JobState.FAILED: frozenset(),
            JobState.SUPERSEDED: frozenset(),
        },
        DeliveryState: {
            DeliveryState.WAITING: frozenset(
                {DeliveryState.SENDING, DeliveryState.FAILED, DeliveryState.SUPERSEDED}
            ),
            DeliveryState.SENDING: frozenset(
                {
                    DeliveryState.WAITING,
                    DeliveryState.SENT,
                    DeliveryState.DELIVERED,
                    DeliveryState.FAILED,
                }
            ),
            DeliveryState.SENT: frozenset(
                {
                    DeliveryState.COMMITTED,
                    DeliveryState.DELIVERED,  # nothing is to be confirmed any more
                    DeliveryState.WAITING,
                    DeliveryState.FAILED,
                }
            ),
            # What is over comes back only when an operator replays it.
            DeliveryState.DELIVERED: frozenset({DeliveryState.WAITING}),
            DeliveryState.COMMITTED: frozenset({DeliveryState.WAITING}),
            DeliveryState.FAILED: frozenset({DeliveryState.WAITING}),
            DeliveryState.SUPERSEDED: frozenset({DeliveryState.WAITING}),
        },
    }
)

ACTIVE: Final = (JobState.READY, JobState.RUNNING)
ENDED: Final = (JobState.DONE, JobState.FAILED)
ANALYSED: Final = (Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE)
UNANALYSED: Final = (Outcome.NOT_ANALYSED, Outcome.FAILED)

S = TypeVar("S", bound=StrEnum)


def move(current: S, target: S) -> S:
    """Return `target` if the table allows the move; staying in place is always allowed.

    Raises
    ------
    IllegalMoveError
        If the table of moves does not lead from `current` to `target`.
    """
    if target != current and target not in MOVES[type(current)][current]:
        raise IllegalMoveError(f"{type(current).__name__}: no move from {current} to {target}")
    return target
