"""Series that are opened again: by an operator, or since the analysis of a better one failed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from schema.deciding_job import newest_ended
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.tables import Job, Series, Study

UNREAD: Final = (Outcome.FAILED, Outcome.NOT_ANALYSED)
LATELY: Final = timedelta(hours=24)  # so that years of studies are not searched in every round
HAD_ITS_TURN: Final = (JobState.READY, JobState.RUNNING, JobState.DONE, JobState.FAILED)


@dataclass(frozen=True)
class SecondChoice:
    """An eligible series that no worker read, in a study whose better ones failed."""

    series_id: int
    study_id: int
    reason: str


def second_choices(session: Session, now: datetime) -> list[SecondChoice]:
    """Find, for each study that lately ended unread, the best eligible series without a turn."""
    had_its_turn = exists().where(Job.series_id == Series.id, Job.state.in_(HAD_ITS_TURN))
    query = (
        select(Series)
        .join(Study)
        .where(
            Study.state == StudyState.DONE,
            Study.outcome.in_(UNREAD),
            Study.finished_at > now - LATELY,
            Series.state != SeriesState.RECEIVING,
            Series.score.is_not(None),
            ~had_its_turn,
        )
        .order_by(Series.score.desc(), Series.id)
    )
    best: dict[int, Series] = {}
    for series in session.scalars(query):
        best.setdefault(series.study_id, series)
    return [
        SecondChoice(series.id, series.study_id, f"second choice: {series.study.reason}")
        for series in best.values()
    ]


def reopenable(study: Study) -> Sequence[Series]:
    """List the series whose decision or analysis left the study unread, the best score first."""
    if study.outcome not in UNREAD:
        return ()
    ended = {series.id: newest_ended(series) for series in study.series}
    failed = [
        series
        for series in study.series
        if (job := ended[series.id]) is not None and job.outcome in UNREAD
    ]
    decided = [series for series in study.series if series.state != SeriesState.RECEIVING]
    return sorted(failed or decided, key=lambda series: -(series.score or 0))
