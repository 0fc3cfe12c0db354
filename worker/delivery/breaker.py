"""A circuit breaker for each destination, in the database, so that every host leaves it alone."""

from datetime import timedelta

import structlog

from schema.database import Database, read_clock
from schema.errors import TriageError
from schema.tables import Destination
from worker.delivery.claims import pause
from worker.delivery.destinations import Destination as Target

log = structlog.get_logger()


def note_failure(database: Database, target: Target, error: TriageError) -> None:
    """Leave a destination alone for a while that grows with each failure, up to its `probe_s`."""
    with database.transaction() as session:
        row = session.get(Destination, target.name) or Destination(name=target.name, failures=0)
        session.add(row)
        row.failures += 1
        pause_s = pause(target, row.failures, target.probe_s)
        row.open_until = read_clock(session) + timedelta(seconds=pause_s)
        row.last_error = str(error)
        failures = row.failures
    log.warning(
        "destination fails",
        destination=target.name,
        failures=failures,
        pause_s=pause_s,
        reason=str(error),
    )


def note_success(database: Database, target: Target) -> None:
    """Close the breaker."""
    with database.reading() as session:
        row = session.get(Destination, target.name)
        if row is None or not row.failures:
            return
    with database.transaction() as session:
        row = session.get_one(Destination, target.name)
        row.failures, row.open_until, row.last_error = 0, None, None
    log.info("destination answers again", destination=target.name)


def set_held(database: Database, name: str, *, held: bool) -> None:
    """Hold a destination, or let it go; nothing is lost while it is held."""
    with database.transaction() as session:
        row = session.get(Destination, name) or Destination(name=name, failures=0)
        session.add(row)
        row.held = held
        if not held:
            row.failures, row.open_until = 0, None
