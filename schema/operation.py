"""How the operation goes, by what the tables know: who works, what waits, what came last.

An idle worker leaves no trace in them, and neither does an association that was rejected: those
are counted by the receiver alone (TRIAGE_METRICS_PORT).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.states import JobState, Outcome
from schema.tables import Association, Instance, Job, Study

NEWEST_JOBS: Final = 1000  # where workers are looked for: bounded, however many jobs there were
RECENT: Final = timedelta(hours=1)
PLACES: Final = (-1, 0, 1, 2, 3)  # all of them: with each named, the index finds the last hour
UNANALYSED: Final = (Outcome.NOT_ANALYSED, Outcome.FAILED)
MOST_REASONS: Final = 10


@dataclass(frozen=True)
class Worker:
    """A host that analyses."""

    host: str
    model: str | None  # of its last result; None before the first
    alive_at: datetime  # when it last extended a lease or ended a job
    running: int


@dataclass(frozen=True)
class _Taken:
    """What is asked of a job that a worker took."""

    id: int
    owner: str | None
    state: JobState
    model: str | None
    lease_until: datetime | None
    finished_at: datetime | None


TAKEN: Final = (Job.id, Job.owner, Job.state, Job.model, Job.lease_until, Job.finished_at)


@dataclass(frozen=True)
class OldestJob:
    """The job that waits the longest."""

    id: int
    since: datetime
    waits_for: str | None


@dataclass(frozen=True)
class Reception:
    """The newest instance that was catalogued."""

    at: datetime
    calling_ae: str | None


@dataclass(frozen=True)
class Operation:
    """What an operator asks first."""

    read_at: datetime
    workers: tuple[Worker, ...]
    oldest_job: OldestJob | None
    last_reception: Reception | None
    unanalysed: Mapping[str, int]  # of the last hour, by outcome and reason


def read_operation(session: Session, lease_s: float) -> Operation:
    """Read how the operation goes; a running job's last sign of life follows from its lease."""
    now = read_clock(session)
    return Operation(
        now,
        tuple(_read_workers(session, timedelta(seconds=lease_s))),
        _read_oldest_job(session),
        _read_last_reception(session),
        _read_unanalysed(session, now - RECENT),
    )


def _read_workers(session: Session, lease: timedelta) -> Iterator[Worker]:
    newest = session.scalar(select(func.max(Job.id))) or 0
    by_host: dict[str, list[_Taken]] = {}
    # Two questions, each with its index; with OR and an order the table would be walked.
    for chosen in (Job.id > newest - NEWEST_JOBS, Job.state == JobState.RUNNING):
        for job in session.execute(select(*TAKEN).where(chosen, Job.owner.is_not(None))):
            by_host.setdefault((job.owner or "").partition(":")[0], []).append(_Taken(*job))
    for host, jobs in sorted(by_host.items()):
        running = {job.id: job for job in jobs if job.state is JobState.RUNNING}
        ended = [job for job in jobs if job.finished_at]
        alive = [job.lease_until - lease for job in running.values() if job.lease_until]
        alive += [job.finished_at for job in ended if job.finished_at]
        models = [job.model for job in sorted(ended, key=lambda job: job.id) if job.model]
        if alive:
            yield Worker(host, models[-1] if models else None, max(alive), len(running))


def _read_oldest_job(session: Session) -> OldestJob | None:
    waiting = select(Job.id, Job.created_at, Job.waits_for).where(Job.state == JobState.READY)
    job = session.execute(waiting.order_by(Job.created_at).limit(1)).first()
    return None if job is None else OldestJob(job.id, job.created_at, job.waits_for)


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


def describe(operation: Operation) -> Iterator[tuple[str, str]]:
    """Say it in lines: what, and how it stands."""

    def ago(moment: datetime) -> str:
        seconds = max((operation.read_at - moment).total_seconds(), 0)
        return f"{timedelta(seconds=round(seconds))} ago"

    for worker in operation.workers:
        busy = f", {worker.running} running" if worker.running else ""
        model = worker.model or "no result yet"
        yield "worker", f"{worker.host}: {model}, last sign of life {ago(worker.alive_at)}{busy}"
    if not operation.workers:
        yield "worker", "none has taken a job yet"
    job = operation.oldest_job
    cause = f", waits for {job.waits_for}" if job and job.waits_for else ""
    yield "waiting", f"job {job.id}, made {ago(job.since)}{cause}" if job else "no job"
    last = operation.last_reception
    sender = f" from {last.calling_ae}" if last and last.calling_ae else ""
    yield "received", f"last image {ago(last.at)}{sender}" if last else "nothing that is still here"
    for reason, studies in operation.unanalysed.items():
        yield "last hour", f"{studies} x {reason}"
    if not operation.unanalysed:
        yield "last hour", "no study went unanalysed"
