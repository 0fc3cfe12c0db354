"""Which process owns a job, and whether it is gone.

Its own host can tell at once; the others see it by the lease.
"""

import os
import socket
from datetime import datetime
from functools import cache
from pathlib import Path

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.states import JobState
from schema.tables import Job, Series, Study

log = structlog.get_logger()

PROC = Path("/proc")
STATE, START_TIME = 0, 19  # fields of /proc/PID/stat behind the name, see proc(5)


def this_process() -> str:
    """Name this process so that nobody else ever has the name: its host, number and start."""
    started = _started(os.getpid())
    known = "" if started is None else f":{started}:{_realm()}"
    return f"{socket.gethostname()}:{os.getpid()}{known}"


def is_gone(owner: str | None) -> bool:
    """Say whether the owner is known to have ended; False for what this host cannot see."""
    host, _, rest = (owner or "").partition(":")
    number, _, rest = rest.partition(":")
    started, _, realm = rest.partition(":")
    if not started or (host, realm) != (socket.gethostname(), _realm()):
        return False
    return _started(int(number)) != started


def _started(process_id: int) -> str | None:
    """Give when a process started, in ticks since the host did; None for one that has ended."""
    try:
        stat = (PROC / str(process_id) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[STATE] in "ZX" else fields[START_TIME]


@cache
def _realm() -> str:
    """Name this run of the host and its numbering of processes: containers have their own."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot[:8]}-{(PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return "unknown"


def release_orphans(database: Database) -> int:
    """End the lease of each job whose owner ended on this host, so that its message is due."""
    with database.reading() as session:
        orphans = _orphans(session)
    if not orphans:
        return 0
    with database.transaction() as session:
        now = read_clock(session)
        for job_id, token in orphans:
            _release(session, job_id, token, now)
    return len(orphans)


def _orphans(session: Session) -> list[tuple[int, int]]:
    now = read_clock(session)
    running = select(Job.id, Job.token, Job.owner).where(
        Job.state == JobState.RUNNING, Job.lease_until >= now
    )
    return [(job.id, job.token) for job in session.execute(running) if is_gone(job.owner)]


def _release(session: Session, job_id: int, token: int, now: datetime) -> None:
    held = (Job.id == job_id, Job.token == token, Job.state == JobState.RUNNING)
    session.execute(update(Job).where(*held).values(lease_until=now, due_at=now))
    log.warning("worker died, its job is free", job=job_id, study=_study_of(session, job_id))


def _study_of(session: Session, job_id: int) -> str | None:
    of_job = select(Study.study_instance_uid).join(Series).join(Job).where(Job.id == job_id)
    return session.scalar(of_job)
