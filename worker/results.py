"""Write what became of a job, under its fencing token and in one transaction."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from schema.database import Database, read_clock
from schema.errors import TransientError
from schema.settings import Settings
from schema.states import JobState, Outcome, move
from schema.studies import update_study
from schema.tables import Finding, Job, ResultObject
from worker.analysis import Analysis
from worker.lease import Lease, lock_job

log = structlog.get_logger()

LONGEST_PAUSE_S = 300


def record(database: Database, lease: Lease, analysis: Analysis, storage: Path) -> None:
    """Store an analysis: findings, priority and objects; the study is settled with it.

    Raises
    ------
    LeaseLostError
        If another worker took the job over; nothing is stored.
    """
    with database.transaction() as session:
        job = lock_job(session, lease)
        job.state = move(job.state, JobState.DONE)
        job.outcome = analysis.priority.outcome
        job.reason = job.priority_reason = analysis.priority.reason
        job.priority = analysis.priority.level
        job.rule_version = analysis.priority.rule_version
        job.measured = _measured(analysis)
        job.model, job.model_sha256 = analysis.model, analysis.model_sha256
        job.timings_s = dict(analysis.timings_s)
        job.last_error = "; ".join(analysis.refused) or None
        job.finished_at = read_clock(session)
        _replace_results(job, analysis, storage)
        update_study(session, job.series.study)


def previous_report(job: Job, storage: Path) -> Path | None:
    """Find the report of the revision before, which the new one replaces."""
    earlier = sorted(
        (other for other in job.series.jobs if other.revision < job.revision),
        key=lambda other: other.revision,
    )
    reports = [
        storage / one.path
        for other in earlier
        for one in other.objects
        if one.kind == "SR" and one.audience != "triage"
    ]
    return reports[-1] if reports and reports[-1].exists() else None


def _measured(analysis: Analysis) -> dict[str, Any]:
    """Give what decided, and what is unusual about the stack that it was measured on."""
    geometry = {"tilt_degrees": round(analysis.tilt_degrees, 1), "gaps": ", ".join(analysis.gaps)}
    return dict(analysis.priority.measured) | geometry


def _replace_results(job: Job, analysis: Analysis, storage: Path) -> None:
    job.findings = [
        Finding(
            subtype=finding.subtype,
            probability=finding.probability,
            volume_ml=finding.volume_ml,
            present=finding.present,
        )
        for finding in analysis.findings
    ]
    job.objects = [
        ResultObject(
            kind=written.kind,
            sop_instance_uid=written.sop_instance_uid,
            path=str(written.path.relative_to(storage)),
            sha256=written.sha256,
            audience=written.audience,
        )
        for written in analysis.objects
    ]


def record_failure(database: Database, lease: Lease, outcome: Outcome, reason: str) -> None:
    """Store that a job ended without an analysis: NOT_ANALYSED or FAILED, with the reason."""
    with database.transaction() as session:
        job = lock_job(session, lease)
        job.state = move(job.state, JobState.FAILED)
        job.outcome = outcome
        job.reason = job.priority_reason = job.last_error = reason
        job.finished_at = read_clock(session)
        update_study(session, job.series.study)
    log.warning("job ended without an analysis", job=lease.job_id, outcome=outcome, reason=reason)


def requeue(database: Database, lease: Lease, error: TransientError, settings: Settings) -> None:
    """Put a job back in the queue for another attempt, later each time."""
    with database.transaction() as session:
        job = lock_job(session, lease)
        pause_s = min(settings.redispatch_s * 2 ** (lease.attempt - 1), LONGEST_PAUSE_S)
        job.state = move(job.state, JobState.READY)
        job.due_at = read_clock(session) + timedelta(seconds=pause_s)
        job.last_error = str(error)
        update_study(session, job.series.study)
    log.warning("job given back", job=lease.job_id, pause_s=pause_s, reason=str(error))
