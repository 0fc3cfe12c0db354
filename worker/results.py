"""Write what became of a job, under its fencing token and in one transaction."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.errors import SourceFileMissingError, TransientError, WorkerError
from schema.queue import LONGEST_WAIT_S
from schema.settings import Settings
from schema.states import JobState, Outcome, move
from schema.studies import update_study
from schema.tables import Finding, Job, KeyPicture, ResultObject
from worker.delivery.destinations import NOWHERE, Destinations
from worker.delivery.outbox import enqueue_job
from worker.lease import Lease, keys, lock_job
from worker.objects.newest_report import newest_reports
from worker.objects.revision import Revision

if TYPE_CHECKING:  # so that the pool's parent, which records nothing, need not load it
    from worker.analysis import Analysis

log = structlog.get_logger()

LONGEST_PAUSE_S: Final = 30.0  # after an outage nobody waits longer than this
PATIENT_FAULTS: Final = 3  # so many sick workers are no sign that the job makes them sick
FILE_MISSING: Final = "a file of this series is missing from the storage; send the study again"


def record(
    database: Database,
    lease: Lease,
    analysis: "Analysis",
    storage: Path,
    places: Destinations = NOWHERE,
) -> None:
    """Store an analysis: findings, priority, objects, and what each destination is owed.

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
        job.look = _look(analysis)
        job.coverage = analysis.look.coverage.to_json() if analysis.look.coverage else None
        job.timings_s = dict(analysis.timings_s)
        job.slices = dict(analysis.slices)
        job.waits_for = job.waits_since = None
        job.last_error = "; ".join(analysis.refused) or None
        job.finished_at = read_clock(session)
        _replace_results(job, analysis, storage)
        update_study(session, job.series.study)
        enqueue_job(session, job, places)


def revision_of(job: Job, storage: Path) -> Revision:
    """Find what the new result replaces: the revision before, or that nothing was analysed."""
    earlier = (other for other in job.series.jobs if other.revision < job.revision)
    written = [*job.series.study.objects, *(each for other in earlier for each in other.objects)]
    return Revision(job.revision, bool(written), newest_reports(written, storage))


def _look(analysis: "Analysis") -> dict[str, Any]:
    """Give what the pixels show, what is said of it, and how unlike the training data they are."""
    unlike = analysis.unlike.to_json() if analysis.unlike else None
    return analysis.look.to_json() | {"marks": list(analysis.marks), "unlike": unlike}


def _measured(analysis: "Analysis") -> dict[str, Any]:
    """Give what decided, and what is unusual about the stack that it was measured on."""
    geometry = {"tilt_degrees": round(analysis.tilt_degrees, 1), "gaps": ", ".join(analysis.gaps)}
    return dict(analysis.priority.measured) | geometry


def _replace_results(job: Job, analysis: "Analysis", storage: Path) -> None:
    jpeg = analysis.key_picture
    job.key_picture = KeyPicture(jpeg=jpeg) if jpeg else None
    job.findings = [
        Finding(
            subtype=finding.subtype,
            probability=finding.probability,
            volume_ml=finding.volume_ml,
            present=finding.present,
            claim=finding.claim,
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


def record_failure(
    database: Database, lease: Lease, outcome: Outcome, reason: str, detail: str = ""
) -> None:
    """Store that a job ended without an analysis: NOT_ANALYSED or FAILED.

    Parameters
    ----------
    reason
        In plain words, for a radiologist.
    detail
        For the operator; the reason where there is no more to say.
    """
    with database.transaction() as session:
        _fail(session, lock_job(session, lease), outcome, reason, detail or reason)


def requeue(database: Database, lease: Lease, error: TransientError, settings: Settings) -> None:
    """Put a job back in the queue until its surroundings are well; the attempt is not counted.

    A file that stays missing from a storage that is there ends the study.
    """
    with database.transaction() as session:
        job, now, kind = lock_job(session, lease), read_clock(session), type(error).__name__
        if job.waits_for != kind or job.waits_since is None:
            job.waits_for, job.waits_since = kind, now
        waited_s = (now - job.waits_since).total_seconds()
        if isinstance(error, SourceFileMissingError) and waited_s > settings.missing_file_s:
            _fail(session, job, Outcome.FAILED, FILE_MISSING, str(error))
            return
        _wait(session, job, min(max(waited_s, settings.redispatch_s), LONGEST_PAUSE_S), str(error))
        job.attempts -= 1
    log.warning("job requeued", **keys(lease), reason=str(error))


def return_untouched(database: Database, lease: Lease, fault: WorkerError) -> None:
    """Put a job back as it was, since its worker is at fault; one that met many sick ones waits."""
    with database.transaction() as session:
        job = lock_job(session, lease)
        job.worker_faults += 1
        beyond = job.worker_faults - PATIENT_FAULTS
        pause_s = min(LONGEST_PAUSE_S * 2**beyond, LONGEST_WAIT_S) if beyond >= 0 else 0
        _wait(session, job, pause_s, str(fault))
        job.attempts -= 1
    log.warning("job returned", **keys(lease), faults=job.worker_faults, reason=str(fault))


def spend_attempt(
    database: Database, lease: Lease, reason: str, detail: str, settings: Settings
) -> None:
    """Count an attempt that ended in no way that is known; after the last the study has FAILED."""
    with database.transaction() as session:
        job = lock_job(session, lease)
        if lease.attempt >= settings.max_attempts:
            times = f"given up after {settings.max_attempts} attempts: {reason}"
            _fail(session, job, Outcome.FAILED, times, detail)
            return
        _wait(session, job, settings.redispatch_s, detail)
    log.warning("attempt spent", **keys(lease), reason=detail)


def _wait(session: Session, job: Job, pause_s: float, error: str) -> None:
    job.state = move(job.state, JobState.READY)
    job.due_at = read_clock(session) + timedelta(seconds=pause_s)
    job.last_error = error
    update_study(session, job.series.study)


def _fail(session: Session, job: Job, outcome: Outcome, reason: str, detail: str) -> None:
    """End a job; `reason` is for a radiologist, `detail` for the operator."""
    job.state = move(job.state, JobState.FAILED)
    job.outcome = outcome
    job.reason = job.priority_reason = reason
    job.last_error = detail
    job.finished_at = read_clock(session)
    update_study(session, job.series.study)
    study = job.series.study.study_instance_uid
    log.warning(
        "job ended without an analysis", job=job.id, study=study, outcome=outcome, reason=detail
    )
