"""What an operator asks of the outbox: how it stands, what waits, send it again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from schema.database import Database, read_clock
from schema.states import DeliveryState, move
from schema.tables import Delivery, Study
from worker.delivery.claims import may_go, urgency
from worker.delivery.standing import LISTED, Standing, read_standings

WAITS: Final = "waits for the end of its study"
OVER: Final = (DeliveryState.DELIVERED, DeliveryState.COMMITTED)


@dataclass(frozen=True)
class Pending:
    """A delivery that is not over, or failed."""

    destination: str
    kind: str
    study_instance_uid: str
    key: str
    state: str
    priority: int
    attempts: int
    last_error: str | None


@dataclass(frozen=True)
class Outbox:
    """Each destination, and what waits for it."""

    standings: tuple[Standing, ...]
    pending: tuple[Pending, ...]


def read(database: Database, names: tuple[str, ...], *, pending: bool) -> Outbox:
    """Read how things stand; the rows too, if they are wanted."""
    query = (
        select(Delivery, may_go())
        .where(Delivery.state.in_(LISTED))
        .order_by(Delivery.destination, urgency(), Delivery.created_at, Delivery.id)
        .options(joinedload(Delivery.study), joinedload(Delivery.object))
    )
    with database.reading() as session:
        rows = session.execute(query).all() if pending else ()
        listed = tuple(_pending(row, may_be_sent) for row, may_be_sent in rows)
        return Outbox(read_standings(session, names), listed)


def _pending(row: Delivery, may_be_sent: bool) -> Pending:
    return Pending(
        destination=row.destination,
        kind=row.object.kind if row.object else "message",
        study_instance_uid=row.study.study_instance_uid,
        key=row.key,
        state=row.state.value,
        priority=row.priority,
        attempts=row.attempts,
        last_error=row.last_error or (None if may_be_sent else WAITS),
    )


def as_json(outbox: Outbox) -> dict[str, Any]:
    """Give plain values."""
    destinations = [
        asdict(standing)
        | {"open_until": standing.open_until.isoformat() if standing.open_until else None}
        for standing in outbox.standings
    ]
    return {"destinations": destinations, "pending": [asdict(row) for row in outbox.pending]}


def replay(
    database: Database, *, destinations: Sequence[str], study_uid: str | None, everything: bool
) -> int:
    """Make deliveries of these due again, with all their time before them; return how many."""
    states = (DeliveryState.FAILED, DeliveryState.WAITING, *(OVER if everything else ()))
    chosen = select(Delivery).where(
        Delivery.state.in_(states), Delivery.destination.in_(destinations)
    )
    if study_uid is not None:
        chosen = chosen.join(Study).where(Study.study_instance_uid == study_uid)
    with database.transaction() as session:
        now = read_clock(session)
        rows = session.scalars(chosen).all()
        for row in rows:
            row.state = move(row.state, DeliveryState.WAITING)
            row.created_at = row.due_at = now
            row.attempts, row.last_error = 0, None
            row.sent_at = row.committed_at = None
        return len(rows)
