"""Canaries: synthetic heads of ours that no reader, no archive and no statistics ever sees."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from schema.database import Database, read_clock
from schema.tables import Canary, Instance, Job, Series, Study


def canary_ids() -> Select[int | None]:
    """Select the studies that are canaries; a few hundred rows at most."""
    return select(Canary.study_id).where(Canary.study_id.is_not(None))


def is_shown() -> ColumnElement[bool]:
    """Say of a study that it is no canary."""
    return Study.id.not_in(canary_ids())


def is_canary(session: Session, study_id: int) -> bool:
    """Say whether a study is one."""
    return session.scalar(select(Canary.id).where(Canary.study_id == study_id)) is not None


def without_canaries(database: Database) -> Database:
    """Give the database as readers and statistics see it: no query finds a canary's study.

    For whole programs, so that no query that somebody adds can forget it.
    """
    return Database(database.engine, _leave_out)


def _leave_out(state: ORMExecuteState) -> None:
    if state.is_select and not (state.is_column_load or state.is_relationship_load):
        series = Series.__table__  # not the class, whose own criterion would leave these out
        hidden = select(series.c.id).where(series.c.study_id.in_(canary_ids()))
        criteria = (
            (Study, is_shown()),
            (Series, Series.study_id.not_in(canary_ids())),
            (Job, Job.series_id.not_in(hidden)),
            (Instance, Instance.series_id.not_in(hidden)),
        )
        state.statement = state.statement.options(
            *(with_loader_criteria(table, which, include_aliases=True) for table, which in criteria)
        )


@dataclass(frozen=True)
class CanaryStanding:
    """How the canaries go.

    Attributes
    ----------
    seconds
        What the newest one that has a result took.
    is_known
        Whether the newest that ended had the known result.
    detail
        What it was, or what went wrong.
    since_known
        How long ago the newest one with the known result was sent.
    waits
        How long the one that has no result waits; None if there is none.
    """

    seconds: float | None
    is_known: bool | None
    detail: str | None
    since_known: timedelta | None
    waits: timedelta | None


def read_canaries(session: Session) -> CanaryStanding | None:
    """Read how the canaries go; None if none was ever sent."""
    newest = select(Canary).order_by(Canary.sent_at.desc()).limit(1)
    if session.scalar(newest) is None:
        return None
    ended = session.scalar(newest.where(Canary.ended_at.is_not(None)))
    timed = session.scalar(newest.where(Canary.seconds.is_not(None)))
    waiting = session.scalar(newest.where(Canary.ended_at.is_(None)))
    right = session.scalar(newest.where(Canary.is_known.is_(True)))
    now = read_clock(session)

    def since(moment: datetime | None) -> timedelta | None:
        return None if moment is None else now - moment

    return CanaryStanding(
        seconds=None if timed is None else timed.seconds,
        is_known=None if ended is None else ended.is_known,
        detail=None if ended is None else ended.detail,
        since_known=since(None if right is None else right.sent_at),
        waits=since(None if waiting is None else waiting.sent_at),
    )


def describe_canary(standing: CanaryStanding | None) -> Iterator[tuple[str, str]]:
    """Say it in lines, as `schema.operation` does; nothing where none was ever sent."""
    if standing is None:
        return
    said = []
    if standing.is_known is not None:
        took = "" if standing.seconds is None else f" after {standing.seconds:.1f} s"
        verdict = "the known result" if standing.is_known else "NOT the known result"
        said.append(f"{verdict}{took}: {standing.detail}")
    if standing.waits is not None:
        said.append(f"one waits for {_whole(standing.waits)}")
    last = standing.since_known
    said.append("none was right yet" if last is None else f"last right {_whole(last)} ago")
    yield "canary", "; ".join(said)


def _whole(span: timedelta) -> timedelta:
    return timedelta(seconds=round(max(span.total_seconds(), 0)))
