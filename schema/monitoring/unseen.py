"""Since when a result waits that nobody has seen: by the jobs, for a study's own end moves on."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from schema.tables import Job, Series, Study


def oldest_unseen(
    session: Session, places: Collection[int], which: ColumnElement[bool]
) -> datetime | None:
    """Give when the oldest result that nobody has seen ended; None if there is none.

    Another series that arrives takes the study's outcome away, and one that ends with less moves
    its end: neither makes the result before it seen, nor younger.

    Parameters
    ----------
    places
        Of the studies on the worklist.
    which
        What it asks of a job.
    """
    unseen = or_(Study.acknowledged_at.is_(None), Study.acknowledged_at < Job.finished_at)
    ended = select(func.min(Job.finished_at)).join(Series).join(Study)
    return session.scalar(ended.where(Study.place.in_(places), unseen, which))
