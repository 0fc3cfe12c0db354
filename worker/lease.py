"""Claiming a job: a lease that a heartbeat extends and a fencing token that a result must show.

However often its message comes, one worker holds the job; whoever lost it cannot write.
"""

import threading
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, cast

import structlog
from sqlalchemy import CursorResult, and_, case, or_, select, update
from sqlalchemy.orm import Session

from schema.database import PROGRAM, Database, read_clock
from schema.errors import LeaseLostError, TransientError
from schema.owners import is_gone, this_process
from schema.settings import Settings
from schema.states import JobState, Outcome, move
from schema.studies import lock_study_of_job, update_study
from schema.tables import Job

log = structlog.get_logger()

BEATS_PER_LEASE = 3
DIED = "the worker died in the middle of it"


@dataclass(frozen=True)
class Lease:
    """The right to work on a job while its token is the newest."""

    job_id: int
    token: int
    attempt: int
    study_instance_uid: str = ""


def keys(lease: Lease) -> dict[str, object]:
    """Name a job and its study in the log."""
    return {"job": lease.job_id, "study": lease.study_instance_uid}


def claim(database: Database, job_id: int, settings: Settings) -> Lease | None:
    """Claim a job, or return None where there is nothing to do.

    The job of a worker that died is taken over: at once where its process was on this host, else
    when its lease is over. One that was begun `TRIAGE_MAX_ATTEMPTS` times and never ended is given
    up: it may be what kills the workers.
    """
    with database.transaction() as session:
        study = lock_study_of_job(session, job_id)
        if study is None:
            return None
        now = read_clock(session)
        lapsed = or_(Job.lease_until < now, Job.token == _orphaned(session, job_id))
        claimed = _changes(
            session,
            update(Job)
            .where(
                Job.id == job_id,
                Job.needs_program <= PROGRAM,
                or_(Job.state == JobState.READY, and_(Job.state == JobState.RUNNING, lapsed)),
            )
            .values(
                state=JobState.RUNNING,
                token=Job.token + 1,
                attempts=Job.attempts + 1,
                take_overs=Job.take_overs + case((Job.state == JobState.RUNNING, 1), else_=0),
                owner=this_process(),
                started_at=now,
                lease_until=now + timedelta(seconds=settings.lease_s),
            ),
        )
        if not claimed:
            return None
        job = session.get_one(Job, job_id, populate_existing=True)
        if job.attempts > settings.max_attempts:
            _give_up(session, job, settings.max_attempts)
            return None
        update_study(session, study)
        return Lease(job.id, job.token, job.attempts, study.study_instance_uid)


def _orphaned(session: Session, job_id: int) -> int | None:
    """Give the token of a job whose owner is known to have died."""
    owner, token = session.execute(select(Job.owner, Job.token).where(Job.id == job_id)).one()
    return token if is_gone(owner) else None


def _give_up(session: Session, job: Job, max_attempts: int) -> None:
    job.state = move(job.state, JobState.FAILED)
    job.attempts = max_attempts
    job.outcome = Outcome.FAILED
    job.reason = job.priority_reason = f"given up after {max_attempts} attempts: {DIED}"
    job.finished_at = read_clock(session)
    update_study(session, job.series.study)
    study = job.series.study.study_instance_uid
    log.error("job given up", job=job.id, study=study, reason=job.reason)


def lock_job(session: Session, lease: Lease) -> Job:
    """Lock the job's study and then the job, inside the transaction that writes.

    Raises
    ------
    LeaseLostError
        If another worker took the job over.
    """
    lock_study_of_job(session, lease.job_id)
    held = select(Job).where(_is_held(lease)).with_for_update()
    job = session.scalars(held.execution_options(populate_existing=True)).one_or_none()
    if job is None:
        raise LeaseLostError(f"job {lease.job_id}: attempt {lease.attempt} lost its lease")
    return job


class Heartbeat:
    """Extends a lease from a thread for as long as the work in the `with` block lasts."""

    def __init__(self, database: Database, lease: Lease, settings: Settings) -> None:
        self._database = database
        self._lease = lease
        self._lease_s = settings.lease_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stopped.wait(self._lease_s / BEATS_PER_LEASE):
            try:
                self._extend()
            except TransientError as error:
                log.warning("heartbeat missed", **keys(self._lease), reason=str(error))

    def _extend(self) -> None:
        with self._database.transaction() as session:
            until = read_clock(session) + timedelta(seconds=self._lease_s)
            _changes(session, update(Job).where(_is_held(self._lease)).values(lease_until=until))


def _is_held(lease: Lease) -> Any:
    return and_(Job.id == lease.job_id, Job.token == lease.token, Job.state == JobState.RUNNING)


def _changes(session: Session, statement: Any) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount
