"""Series that are opened again: by an operator, or since the analysis of a better one failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.deciding_job import newest_ended
from schema.states import UNANALYSED, SeriesState
from schema.tables import Series, Study

AT_ONCE: Final = 100


def with_second_choice(session: Session, now: datetime) -> Sequence[int]:
    """List studies that ended unread and have an eligible series that had no turn."""
    due = select(Study.id).where(Study.second_choice_at <= now).order_by(Study.second_choice_at)
    return session.scalars(due.limit(AT_ONCE)).all()


def reopenable(study: Study) -> Sequence[Series]:
    """List the series whose decision or analysis left the study unread, the best score first."""
    if study.outcome not in UNANALYSED:
        return ()
    ended = {series.id: newest_ended(series) for series in study.series}
    failed = [
        series
        for series in study.series
        if (job := ended[series.id]) is not None and job.outcome in UNANALYSED
    ]
    decided = [series for series in study.series if series.state != SeriesState.RECEIVING]
    return sorted(failed or decided, key=lambda series: -(series.score or 0))
