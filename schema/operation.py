"""How the operation goes, by what the tables know: who works, what waits, what came last."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.monitoring.open_studies import Reconciliation, reconcile
from schema.monitoring.rejections import Refused, read_rejections
from schema.monitoring.signs import Running, read_running
from schema.queue import is_waiting
from schema.states import UNANALYSED, JobState
from schema.tables import Association, Instance, Job, Study

RECENT: Final = timedelta(hours=1)
PLACES: Final = (-1, 0, 1, 2, 3)  # all of them: with each named, the index finds the last hour
MOST_REASONS: Final = 10


@dataclass(frozen=True)
class OldestJob:
    """The job that waits the longest; one that a silent worker has waits, too."""

    id: int
    since: datetime
    state: JobState
    owner: str | None
    waits_for: str | None
    due_at: datetime
    last_error: str | None
    needs_program: int


@dataclass(frozen=True)
class Reception:
    """The newest instance that was catalogued."""

    at: datetime
    calling_ae: str | None


@dataclass(frozen=True)
class Operation:
    """What an operator asks first."""

    read_at: datetime
    running: tuple[Running, ...]
    jobs_by_host: Mapping[str, int]  # those that are analysed now
    waiting: int  # jobs that no worker has, or one that went silent
    oldest_job: OldestJob | None
    last_reception: Reception | None
    rejections: tuple[tuple[Refused, int], ...]
    studies: Reconciliation
    unanalysed: Mapping[str, int]  # of the last hour, by outcome and reason


def read_operation(session: Session, late_s: float) -> Operation:
    """Read how the operation goes; late is a study in which nothing moved for so long."""
    now = read_clock(session)
    return Operation(
        now,
        read_running(session),
        _read_jobs_by_host(session, now),
        _count_waiting(session, now),
        _read_oldest_job(session, now),
        _read_last_reception(session),
        tuple(read_rejections(session, now - RECENT, MOST_REASONS)),
        reconcile(session, late_s),
        _read_unanalysed(session, now - RECENT),
    )


def host_of(owner: str | None) -> str:
    """Give the host of the process that owns a job."""
    return (owner or "").partition(":")[0]


def _read_jobs_by_host(session: Session, now: datetime) -> Mapping[str, int]:
    in_work = (Job.state == JobState.RUNNING, ~is_waiting(now))
    return Counter(map(host_of, session.scalars(select(Job.owner).where(*in_work))))


def _count_waiting(session: Session, now: datetime) -> int:
    return session.scalar(select(func.count(Job.id)).where(is_waiting(now))) or 0


def _read_oldest_job(session: Session, now: datetime) -> OldestJob | None:
    told = (Job.state, Job.owner, Job.waits_for, Job.due_at, Job.last_error, Job.needs_program)
    waiting = select(Job.id, Job.created_at, *told).where(is_waiting(now))
    job = session.execute(waiting.order_by(Job.created_at).limit(1)).first()
    return None if job is None else OldestJob(*job)


def _read_last_reception(session: Session) -> Reception | None:
    newest = (
        select(Instance.received_at, Association.calling_ae)
        .outerjoin(Association, Association.id == Instance.association_id)
        .where(Instance.id == select(func.max(Instance.id)).scalar_subquery())
    )
    row = session.execute(newest).first()
    return None if row is None else Reception(row.received_at, row.calling_ae)


def _read_unanalysed(session: Session, since: datetime) -> Mapping[str, int]:
    # Not by the outcome too: SQLite would then read all of that outcome instead of the last hour.
    ended = select(Study.outcome, Study.reason).where(
        Study.place.in_(PLACES), Study.finished_at >= since
    )
    counted = Counter(
        f"{outcome}: {reason}"
        for outcome, reason in session.execute(ended)
        if outcome in UNANALYSED
    )
    return dict(counted.most_common(MOST_REASONS))
