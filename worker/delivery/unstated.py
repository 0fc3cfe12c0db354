"""Which studies still want a statement that they were not analysed; asked twice a second."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, CursorResult, Update, and_, or_, select, text
from sqlalchemy.orm import Session

from schema.canaries import is_shown
from schema.moments import has_come
from schema.tables import UNSTATED, Study

AT_ONCE: Final = 20
AGAIN: Final = timedelta(minutes=5)  # for one that could not be stated
GRACE: Final = timedelta(minutes=10)  # after the last image, for the head behind its topogram


def unstated(session: Session, now: datetime) -> Sequence[tuple[int, int]]:
    """List studies that ended without an analysis and have no object of this revision."""
    due = or_(Study.statement_due_at.is_(None), has_come(Study.statement_due_at, now, AGAIN))
    # No job was made yet; what an analysis ended with is stated at once.
    graced = has_come(Study.finished_at, now - GRACE, GRACE)
    over = or_(Study.ready_at.is_not(None), graced)
    query = select(Study.id, Study.revision).where(is_unstated(), due, over, is_shown())
    query = query.order_by(Study.id)
    return [(study_id, revision) for study_id, revision in session.execute(query.limit(AT_ONCE))]


def is_unstated() -> ColumnElement[bool]:
    """Say that a study ended without an analysis and unstated, and has no other series to try."""
    return and_(text(UNSTATED), Study.second_choice_at.is_(None))


def note(session: Session, which: Update, study_id: int, **values: object) -> bool:
    """Note something of a study that its row on the list does not show; say whether it was due."""
    values["changed_at"] = Study.changed_at
    done = session.execute(which.where(Study.id == study_id).values(**values))
    return cast(CursorResult[Any], done).rowcount > 0
