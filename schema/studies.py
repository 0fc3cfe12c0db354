"""Settle what a study shows from its series and their jobs, the one place that decides it.

The worklist, the receiver and the worker all see a study through this: its state, its outcome with
the reason, and its priority, which is only ever raised.
"""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from schema.states import JobState, Outcome, SeriesState, StudyState, move
from schema.tables import Job, Series, Study

NOT_ANALYSED = 0
NONE_FOUND = 4
ACTIVE = (JobState.READY, JobState.RUNNING)
ENDED = (JobState.DONE, JobState.FAILED)
SUSPICIOUS = (Outcome.POSITIVE, Outcome.INDETERMINATE)


def update_study(session: Session, study: Study) -> None:
    """Bring the study's own columns in line with its series and jobs."""
    session.flush()
    session.expire(study, ["series"])
    ended = [job for series in study.series if (job := newest_ended(series)) is not None]
    study.state = move(study.state, _state(study.series, ended))
    study.revision = max((series.revision for series in study.series), default=1)
    jobs = [job for series in study.series for job in series.jobs]
    study.ready_at = min((job.created_at for job in jobs), default=None)
    _raise_priority(study, jobs)
    _conclude(study, ended)


def newest_ended(series: Series) -> Job | None:
    """Give the newest job of a series that ended with a result or a failure."""
    ended = [job for job in series.jobs if job.state in ENDED]
    return max(ended, key=lambda job: job.revision, default=None)


def deciding(ended: Sequence[Job]) -> Job | None:
    """Choose the job whose outcome the study shows.

    A suspicious one before all others, the most urgent first; else that of the best-scored series,
    so that a negative second choice never covers up a failed first one.
    """
    suspicious = [job for job in ended if job.outcome in SUSPICIOUS]
    if suspicious:
        return min(suspicious, key=lambda job: urgency(job.priority))
    return max(ended, key=lambda job: job.series.score or 0, default=None)


def urgency(priority: int) -> int:
    """Rank a priority: 1 to 3 are moved up; 0 and 4 both keep the list's own order."""
    return priority if priority not in (NOT_ANALYSED, NONE_FOUND) else NONE_FOUND


def _state(series: Sequence[Series], ended: Sequence[Job]) -> StudyState:
    active = {job.state for one in series for job in one.jobs if job.state in ACTIVE}
    if JobState.RUNNING in active:
        return StudyState.RUNNING
    if JobState.READY in active:
        return StudyState.READY
    receiving = any(one.state == SeriesState.RECEIVING for one in series)
    return StudyState.RECEIVING if receiving and not ended else StudyState.DONE


def _raise_priority(study: Study, jobs: Sequence[Job]) -> None:
    best = min(jobs, key=lambda job: urgency(job.priority), default=None)
    if best is not None and urgency(best.priority) < urgency(study.priority):
        study.priority, study.priority_reason = best.priority, best.priority_reason


def _conclude(study: Study, ended: Sequence[Job]) -> None:
    if study.state != StudyState.DONE:
        study.outcome = study.reason = study.finished_at = None
        return
    job = deciding(ended)
    if job is None:
        study.outcome = Outcome.NOT_ANALYSED
        study.reason = "; ".join(_rejection(one) for one in study.series)
        study.finished_at = max(one.last_instance_at for one in study.series)
    else:
        study.outcome, study.reason, study.model = job.outcome, job.reason, job.model
        study.finished_at = job.finished_at
    if urgency(study.priority) == NONE_FOUND:  # was never raised, so it may follow the outcome
        study.priority = NOT_ANALYSED if job is None else job.priority
        study.priority_reason = study.reason if job is None else job.priority_reason


def _rejection(series: Series) -> str:
    return f"series {series.description or series.series_instance_uid!r}: {series.reason}"
