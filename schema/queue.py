"""The order in which waiting jobs are taken: the most urgent first, and nobody waits for ever.

A job with more points goes first, and among equals the one that was made first. One that has
waited until its `overdue_at` takes turns with the most urgent: of two jobs that a worker takes in
a row, one is the job that has waited longest. So a bleed that comes into a long queue waits for one
study more, and a routine study is passed by any number of others for so many minutes, and then by
one at a time.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from schema.database import PROGRAM
from schema.states import JobState
from schema.tables import Job

BY_URGENCY: Final = (Job.weight.desc(), Job.created_at, Job.id)
BY_AGE: Final = (Job.created_at, Job.id)
LONGEST_WAIT_S: Final = 600.0  # of a job that was put back


@dataclass(frozen=True)
class WaitingJob:
    """What decides on a job's place.

    Attributes
    ----------
    overdue_at
        From when on it takes turns; None of a job that a program without an order made, which is
        at once.
    """

    id: int
    weight: float
    created_at: datetime
    overdue_at: datetime | None

    def is_overdue(self, now: datetime) -> bool:
        """Say whether others have passed it for long enough."""
        return (self.overdue_at or self.created_at) <= now


def is_waiting(now: datetime) -> ColumnElement[bool]:
    """Say of a job that no worker has it, or that its worker went silent."""
    lapsed = and_(Job.state == JobState.RUNNING, Job.lease_until < now)
    return or_(Job.state == JobState.READY, lapsed)


def may_be_taken(now: datetime, named: int | None = None) -> ColumnElement[bool]:
    """Say of a waiting job that it may begin: one that was put back does when its pause is over.

    One that needs a later program than this is left to a worker that has it.

    Parameters
    ----------
    named
        The job of the message that came: it was sent because its pause was over.
    """
    lapsed = and_(Job.state == JobState.RUNNING, Job.lease_until < now)
    begins = or_(Job.last_error.is_(None), Job.due_at <= now, Job.id == named)
    can = Job.needs_program <= PROGRAM
    return and_(can, or_(and_(Job.state == JobState.READY, begins), lapsed))


def most_urgent(session: Session, now: datetime, named: int | None = None) -> int | None:
    """Give the job with most points, if any may be taken."""
    waiting = select(Job.id).where(may_be_taken(now, named))
    return session.scalar(waiting.order_by(*BY_URGENCY).limit(1))


def most_overdue(session: Session, now: datetime, named: int | None = None) -> int | None:
    """Give the job that waits longest of those that wait too long, if there is one."""
    overdue = func.coalesce(Job.overdue_at, Job.created_at) <= now
    waiting = select(Job.id).where(may_be_taken(now, named), overdue)
    return session.scalar(waiting.order_by(*BY_AGE).limit(1))


def read_queue(session: Session, now: datetime) -> list[WaitingJob]:
    """Read what waits, in the order in which it is going to be taken as things stand."""
    columns = (Job.id, Job.weight, Job.created_at, Job.overdue_at)
    waiting = session.execute(select(*columns).where(is_waiting(now)))
    return in_order([WaitingJob(*row) for row in waiting], now)


def in_order(jobs: Sequence[WaitingJob], now: datetime) -> list[WaitingJob]:
    """Sort jobs as workers take them: an overdue one, the most urgent, an overdue one, ..."""
    urgent = sorted(jobs, key=lambda job: (-job.weight, job.created_at, job.id))
    overdue = sorted(
        (job for job in jobs if job.is_overdue(now)), key=lambda job: (job.created_at, job.id)
    )
    order: dict[int, WaitingJob] = {}
    turns = [deque(overdue), deque(urgent)]
    while len(order) < len(jobs):
        job = (turns[0] or turns[1]).popleft()
        if job.id not in order:
            order[job.id] = job
            turns.reverse()
    return list(order.values())
