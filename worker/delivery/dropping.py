"""What is owed to a destination that is no longer in the file ends, when an operator says so."""

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select

from schema.database import Database, read_clock
from schema.errors import SettingsError, TriageError
from schema.settings import Settings
from schema.states import DeliveryState, move
from schema.tables import Delivery, Destination
from worker.delivery.destinations import Destinations
from worker.delivery.standing import OPEN

log = structlog.get_logger()

# What an archive accepted it may have; of what nobody sends any more nothing is to be confirmed.
ENDS: Final = {
    DeliveryState.WAITING: (DeliveryState.SUPERSEDED,),
    DeliveryState.SENDING: (DeliveryState.WAITING, DeliveryState.SUPERSEDED),
    DeliveryState.SENT: (DeliveryState.DELIVERED,),
}


def require_file(settings: Settings) -> None:
    """Refuse what only a host that has the file can know.

    Raises
    ------
    SettingsError
        If there is no file.
    """
    if settings.destinations is None:
        raise SettingsError("TRIAGE_DESTINATIONS is unset here: run this on a delivery host")


def require_gone(settings: Settings, places: Destinations, name: str) -> None:
    """Refuse a destination that is still one, or of which this host cannot know.

    Raises
    ------
    SettingsError
        If it is in the file, or there is no file.
    """
    require_file(settings)
    if name in {destination.name for destination in places.destinations}:
        raise SettingsError(
            f"{name} is in TRIAGE_DESTINATIONS: take it out and restart the workers first; "
            "`hold` and `release` are for one that stays"
        )


def drop(database: Database, name: str, by: str) -> int:
    """End what a destination is owed, and forget how it did; return how many deliveries.

    Raises
    ------
    TriageError
        If a worker is just sending there: it still has the file of before.
    """
    owed = select(Delivery).where(Delivery.destination == name, Delivery.state.in_(OPEN))
    with database.transaction() as session:
        now, rows = read_clock(session), session.scalars(owed.with_for_update()).all()
        if any(_is_being_sent(row, now) for row in rows):
            raise TriageError(f"a worker is sending to {name}: restart the workers first")
        for row in rows:
            for state in ENDS[row.state]:
                row.state = move(row.state, state)
            row.last_error = f"dropped by {by} at {now:%Y-%m-%d %H:%M} UTC"
        if (place := session.get(Destination, name)) is not None:
            session.delete(place)
    log.warning("destination dropped", destination=name, deliveries=len(rows), by=by)
    return len(rows)


def _is_being_sent(row: Delivery, now: datetime) -> bool:
    sends = row.state == DeliveryState.SENDING
    return sends and row.lease_until is not None and row.lease_until > now
