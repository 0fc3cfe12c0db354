"""Jobs that wait for a moment of a clock that was set back since are free at once."""

from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, and_, case, or_, select, update

from schema.database import Database, read_clock
from schema.moments import is_too_far_off
from schema.queue import LONGEST_WAIT_S
from schema.settings import Settings
from schema.states import ACTIVE, JobState
from schema.tables import Job

log = structlog.get_logger()


def free_set_back(database: Database, settings: Settings) -> int:
    """End the pauses and shorten the leases that are longer than any that is given.

    A worker that lives goes on: its lease is as long as one that begins now.
    """
    with database.reading() as session:
        now = read_clock(session)
        too_long = or_(_lease_is_too_long(now, settings), _pause_is_too_long(now, settings))
        stuck = session.scalars(select(Job.id).where(Job.state.in_(ACTIVE), too_long)).all()
    for job_id in stuck:
        _free(database, job_id, settings)
    return len(stuck)


def _free(database: Database, job_id: int, settings: Settings) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        lease = timedelta(seconds=settings.lease_s)
        until = case((_lease_is_too_long(now, settings), now + lease), else_=Job.lease_until)
        of_job = update(Job).where(Job.id == job_id, Job.state.in_(ACTIVE))
        session.execute(of_job.values(due_at=now, lease_until=until))
        study = session.get_one(Job, job_id).series.study.study_instance_uid
    log.warning(
        "the database's clock was set back, a job that waited for it is free",
        job=job_id,
        study=study,
    )


def _lease_is_too_long(now: datetime, settings: Settings) -> ColumnElement[bool]:
    longest = timedelta(seconds=settings.lease_s)
    return and_(Job.state == JobState.RUNNING, is_too_far_off(Job.lease_until, now, longest))


def _pause_is_too_long(now: datetime, settings: Settings) -> ColumnElement[bool]:
    """Say that a message is due too late; only a job that was put back has a long pause."""
    message = timedelta(seconds=settings.redispatch_s)
    longest = max(message, timedelta(seconds=LONGEST_WAIT_S))
    put_back = and_(Job.state == JobState.READY, Job.last_error.is_not(None))
    return or_(
        and_(~put_back, is_too_far_off(Job.due_at, now, message)),
        is_too_far_off(Job.due_at, now, longest),
    )
