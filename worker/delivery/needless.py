"""What need not be said any more, found out when it is claimed."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.states import DeliveryState, move
from schema.tables import Delivery
from worker.delivery.outbox import RESULT, has_ended

OF_NEWER = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.DELIVERED)


def still_owed(session: Session, rows: Sequence[Delivery]) -> list[Delivery]:
    """Drop what need not be said any more; give the rest."""
    owed = []
    for row in rows:
        if _is_needless(session, row):
            waits = move(row.state, DeliveryState.WAITING)  # of a worker that died, perhaps
            row.state = move(waits, DeliveryState.SUPERSEDED)
        else:
            owed.append(row)
    return owed


def _is_needless(session: Session, row: Delivery) -> bool:
    if row.object_id is not None:
        return False
    if row.event != RESULT:  # that nobody has seen a critical result
        return not row.study.unread
    return has_ended(row.study) and _is_said_by_a_newer(session, row)


def _is_said_by_a_newer(session: Session, row: Delivery) -> bool:
    """Say whether a later message of the study says the same: both tell how it ended."""
    newer = select(Delivery.id).where(
        Delivery.study_id == row.study_id,
        Delivery.destination == row.destination,
        Delivery.object_id.is_(None),
        Delivery.event == RESULT,
        Delivery.id > row.id,
        Delivery.state.in_(OF_NEWER),
    )
    return session.scalar(newer.limit(1)) is not None
