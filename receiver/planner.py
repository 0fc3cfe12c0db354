"""Decide on every series that is whole: a job for the right one, a reason for the others."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.header import read_header
from receiver.readiness import Patience, SeriesClock, is_ready
from receiver.rules import SelectionRules
from receiver.selection import Judgement, judge
from schema.database import Database, read_clock
from schema.errors import UnreadableObjectError
from schema.settle import settle
from schema.states import SeriesState, move
from schema.tables import Association, Instance, Job, Series, Study

log = structlog.get_logger()


class Planner:
    """Turns series that stopped arriving into jobs or rejections."""

    def __init__(
        self, database: Database, storage: Path, patience: Patience, rules: SelectionRules
    ) -> None:
        self._database = database
        self._storage = storage
        self._patience = patience
        self._rules = rules

    def plan(self) -> int:
        """Decide on every series that is ready; return how many were."""
        with self._database.reading() as session:
            ready = self._ready(session)
        for series_id, instance_count in ready:
            self._decide(series_id, instance_count)
        return len(ready)

    def _ready(self, session: Session) -> list[tuple[int, int]]:
        now = read_clock(session)
        query = select(Series).where(Series.state == SeriesState.RECEIVING)
        return [
            (series.id, len(series.instances))
            for series in session.scalars(query)
            if is_ready(_clock(session, series), self._patience, now)
        ]

    def _decide(self, series_id: int, instance_count: int) -> None:
        with self._database.reading() as session:
            instances = session.get_one(Series, series_id).newest_instances()
            paths = [instance.path for instance in instances]
        judgement = self._judge(paths)  # reads files, so outside of any transaction
        with self._database.transaction() as session:
            series = session.get_one(Series, series_id)
            if len(series.instances) != instance_count:
                return  # one more arrived meanwhile: its clock runs again
            _apply(series, judgement, read_clock(session))
            settle(session, series.study)
            log.info(
                "series decided",
                study=series.study.study_instance_uid,
                series=series.series_instance_uid,
                state=series.state,
                reason=series.reason,
            )

    def _judge(self, paths: Sequence[str]) -> Judgement:
        try:
            headers = [read_header(self._storage / path) for path in paths]
        except UnreadableObjectError as error:
            return Judgement(None, str(error))
        return judge(headers, self._rules)


def _clock(session: Session, series: Series) -> SeriesClock:
    query = (
        select(func.count(Association.id.distinct()))
        .join(Instance, Instance.association_id == Association.id)
        .where(Instance.series_id == series.id, Association.closed_at.is_(None))
    )
    open_associations = session.scalar(query) or 0
    return SeriesClock(series.first_instance_at, series.last_instance_at, open_associations)


def _apply(series: Series, judgement: Judgement, now: datetime) -> None:
    series.score = judgement.score
    better = _better_sibling(series.study, series)
    if judgement.score is None or better is not None:
        series.state = move(series.state, SeriesState.REJECTED)
        series.reason = (
            judgement.reason
            if better is None
            else (
                f"scored {judgement.score:g}; series {better.description!r} scored {better.score:g}"
            )
        )
        return
    series.state = move(series.state, SeriesState.SELECTED)
    series.reason = judgement.reason
    series.jobs.append(Job(revision=series.revision, created_at=now, due_at=now))


def _better_sibling(study: Study, series: Series) -> Series | None:
    """Find a selected series that the model should judge rather than this one."""
    if series.score is None:
        return None
    rivals = [one for one in study.series if one.state == SeriesState.SELECTED]
    best = max(rivals, key=lambda one: one.score or 0, default=None)
    return best if best is not None and (best.score or 0) >= series.score else None
