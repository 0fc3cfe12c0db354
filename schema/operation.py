"""How the operation goes, by what the tables know: who works, what waits, what came last."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.monitoring.open_studies import Reconciliation, reconcile
from schema.monitoring.rejections import Refused, read_rejections
from schema.monitoring.signs import Model, Part, Running, read_running
from schema.states import JobState, Outcome
from schema.tables import Association, Instance, Job, Study

RECENT: Final = timedelta(hours=1)
PLACES: Final = (-1, 0, 1, 2, 3)  # all of them: with each named, the index finds the last hour
UNANALYSED: Final = (Outcome.NOT_ANALYSED, Outcome.FAILED)
MOST_REASONS: Final = 10
Ago = Callable[[datetime], str]


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
    running: tuple[Running, ...]
    jobs_by_host: Mapping[str, int]  # those that are analysed now
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
        _read_jobs_by_host(session),
        _read_oldest_job(session),
        _read_last_reception(session),
        tuple(read_rejections(session, now - RECENT, MOST_REASONS)),
        reconcile(session, late_s),
        _read_unanalysed(session, now - RECENT),
    )


def _read_jobs_by_host(session: Session) -> Mapping[str, int]:
    owners = session.scalars(select(Job.owner).where(Job.state == JobState.RUNNING))
    return Counter((owner or "").partition(":")[0] for owner in owners)


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

    yield from _describe_running(operation, ago)
    job = operation.oldest_job
    cause = f", waits for {job.waits_for}" if job and job.waits_for else ""
    yield "waiting", f"job {job.id}, made {ago(job.since)}{cause}" if job else "no job"
    last = operation.last_reception
    sender = f" from {last.calling_ae}" if last and last.calling_ae else ""
    yield "received", f"last image {ago(last.at)}{sender}" if last else "nothing that is still here"
    for refused, count in operation.rejections:
        by = f", by {refused.calling_ae}" if refused.calling_ae else ""
        peer = f" from {refused.peer}" if refused.peer else ""
        yield "rejected", f"{count} x {refused.reason}{by}{peer}"
    if not operation.rejections:
        yield "rejected", "no association in the last hour"
    yield from _describe_late(operation.studies, ago)
    for reason, studies in operation.unanalysed.items():
        yield "last hour", f"{studies} x {reason}"
    if not operation.unanalysed:
        yield "last hour", "no study went unanalysed"


def _describe_running(operation: Operation, ago: Ago) -> Iterator[tuple[str, str]]:
    shown = [part for part in operation.running if not part.replaced]
    for part in shown:
        works = part.part == Part.TRIAGE
        busy = operation.jobs_by_host.get(part.host, 0) if works else 0
        words = [f"{part.host} ({part.process_id}): {part.condition.replace('_', ' ')}"]
        words += [_name(part.model)] if works else []
        words += [f"version {part.version}", f"last sign of life {ago(part.alive_at)}"]
        words += [f"{busy} running"] if busy else []
        words += [part.reason] if part.reason else []
        yield "worker" if works else part.part, ", ".join(words)
    if not any(part.part == Part.TRIAGE for part in shown):
        yield "worker", "none has shown itself"


def _name(model: Model | None) -> str:
    """Name a model and, since its name may outlive its weights, the begin of their digest."""
    return f"{model.name} {model.sha256[:8]}" if model else "no model loaded"


def _describe_late(studies: Reconciliation, ago: Ago) -> Iterator[tuple[str, str]]:
    yield "open", f"{studies.open} received and not ended, {studies.late} of them late"
    for study in studies.named:
        moved = ago(study.open_since)
        yield "late", f"study {study.study_instance_uid} is {study.state}, moved last {moved}"
