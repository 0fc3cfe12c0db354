"""How each destination does, by the database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.states import DeliveryState
from schema.tables import Delivery, Destination
from worker.delivery.claims import may_go

OPEN: Final = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.SENT)
LISTED: Final = (*OPEN, DeliveryState.FAILED)


@dataclass(frozen=True)
class Standing:
    """How one destination does.

    Attributes
    ----------
    counts
        Rows by state.
    oldest_s
        Age of the oldest row that is not over.
    in_file
        Whether TRIAGE_DESTINATIONS names it still.
    """

    name: str
    counts: dict[str, int]
    oldest_s: float
    held: bool
    failures: int
    open_until: datetime | None
    last_error: str | None
    in_file: bool = True

    @property
    def condition(self) -> str:
        """Say in a few words whether anything is sent there."""
        if not self.in_file:
            return "not in TRIAGE_DESTINATIONS"
        if self.held:
            return "held"
        return f"failing, {self.failures} in a row" if self.failures else "in use"


def read_standings(
    session: Session, names: tuple[str, ...], states: Sequence[DeliveryState] = tuple(DeliveryState)
) -> tuple[Standing, ...]:
    """Count the outbox of each destination, of those in the file and of those that were.

    Parameters
    ----------
    states
        Those that are counted. What is over is counted row by row, and there are more every year.
    """
    now = read_clock(session)
    counts: dict[str, dict[str, int]] = {name: {} for name in names}
    grouped = (
        select(Delivery.destination, Delivery.state, func.count())
        .where(Delivery.state.in_(states))
        .group_by(Delivery.destination, Delivery.state)
    )
    for name, state, count in session.execute(grouped):
        counts.setdefault(name, {})[state.value] = count
    oldest = (
        select(Delivery.destination, func.min(Delivery.created_at))
        .where(Delivery.state.in_(OPEN), may_go())  # else its study is late, not the destination
        .group_by(Delivery.destination)
    )
    ages = {name: (now - since).total_seconds() for name, since in session.execute(oldest)}
    rows = {row.name: row for row in session.scalars(select(Destination))}
    return tuple(
        replace(_standing(name, found, ages.get(name, 0.0), rows.get(name)), in_file=name in names)
        for name, found in counts.items()
    )


def _standing(
    name: str, counts: dict[str, int], oldest_s: float, row: Destination | None
) -> Standing:
    if row is None:
        return Standing(name, counts, oldest_s, False, 0, None, None)
    return Standing(name, counts, oldest_s, row.held, row.failures, row.open_until, row.last_error)
