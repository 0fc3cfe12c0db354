"""What happened to a study beside its result, put into the outbox once."""

from typing import Final

from sqlalchemy import select

from schema.database import Database, read_clock
from schema.tables import Study, StudyEvent
from worker.delivery.destinations import Destinations
from worker.delivery.outbox import enqueue_event

AT_ONCE: Final = 32


def queue_events(database: Database, destinations: Destinations) -> int:
    """Add what is not yet in the outbox; return how many rows are new.

    The page writes that nobody has seen a critical result; where somebody has since, nothing is
    sent, and what is in the outbox is dropped when it is claimed.
    """
    with database.transaction() as session:
        waiting = (
            select(StudyEvent)
            .where(StudyEvent.queued_at.is_(None))
            .order_by(StudyEvent.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        added = 0
        for event in session.scalars(waiting).all():
            event.queued_at = read_clock(session)
            study = session.get_one(Study, event.study_id)
            if study.unread:
                added += enqueue_event(session, study, event, destinations)
        return added
