"""What ended since the last look, whichever host it ended on, by the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session, load_only, selectinload

from schema.deciding_job import shown_job
from schema.monitoring.causes import Cause, cause_of
from schema.monitoring.likeness import Likeness, likeness_of
from schema.states import ANALYSED, ENDED, Outcome, StudyState
from schema.tables import Job, Series, Study

OVERLAP: Final = timedelta(seconds=60)  # clocks differ, and a transaction may take a while
RECALLED: Final = timedelta(
    hours=1
)  # what ended before is not looked at; it was only seen by a reader
HOPS: Final = ("sent", "complete", "dispatched", "claimed", "analysed")
OF_STUDY: Final = (
    Study.finished_at,
    Study.station_name,
    Study.state,
    Study.outcome,
    Study.reason,
    Study.identity_alert,
    Study.received_at,
    Study.revision,
)
OF_JOB: Final = (
    Job.state,
    Job.outcome,
    Job.reason,
    Job.priority,
    Job.measured,
    Job.revision,
    Job.created_at,
    Job.dispatched_at,
    Job.started_at,
    Job.finished_at,
    Job.take_overs,
    Job.series_id,
    Job.look,
)
OF_SERIES: Final = (
    Series.study_id,
    Series.state,
    Series.revision,
    Series.reason,
    Series.score,
    Series.scanned_at,
    Series.from_mm,
    Series.to_mm,
    Series.first_instance_at,
    Series.last_instance_at,
)


@dataclass(frozen=True)
class EndedJob:
    """A job's way.

    Attributes
    ----------
    hops_s
        Seconds that each stretch of the way took, by its name.
    """

    id: int
    hops_s: dict[str, float]
    take_overs: int


@dataclass(frozen=True)
class EndedStudy:
    """A study that got an outcome; a reopened one gets another.

    Attributes
    ----------
    result
        Which outcome of it this is: the job that is shown, or when it ended where none is.
    first_ended_at
        When the first analysis of it ended, whichever is shown.
    likeness
        Of its analysed images to the training data; None where none were analysed.
    """

    id: int
    result: int | datetime
    first_ended_at: datetime
    station: str
    outcome: Outcome
    cause: Cause | None
    likeness: Likeness | None
    received_at: datetime
    revision: int


@dataclass(frozen=True)
class Ends:
    """What ended."""

    studies: Sequence[EndedStudy]
    jobs: Sequence[EndedJob]


def read_ends(session: Session, now: datetime, since: datetime) -> Ends:
    """Give what changed since then and has an end in the last hour."""
    changed = _changed_studies(session, now, since)
    jobs = [
        EndedJob(job.id, _hops_s(job, series), job.take_overs)
        for study in changed
        for series in study.series
        for job in series.jobs
        if job.state in ENDED and job.finished_at and job.finished_at > now - RECALLED
    ]
    return Ends([_ended(study) for study in changed], jobs)


def _changed_studies(session: Session, now: datetime, since: datetime) -> Sequence[Study]:
    # By the time of the change alone: SQLite would rather walk all that is DONE.
    jobs = selectinload(Series.jobs).load_only(*OF_JOB)
    series = selectinload(Study.series).options(load_only(*OF_SERIES), jobs)
    changed = select(Study).where(Study.changed_at > since - OVERLAP)
    return [
        study
        for study in session.scalars(changed.options(load_only(*OF_STUDY), series))
        if study.state == StudyState.DONE
        and study.outcome is not None
        and study.finished_at is not None
        and study.finished_at > now - RECALLED
    ]


def _ended(study: Study) -> EndedStudy:
    assert study.outcome is not None
    assert study.finished_at is not None
    mixed = study.identity_alert is not None
    shown = shown_job(study.series)
    jobs = [job for series in study.series for job in series.jobs if job.outcome is not None]
    return EndedStudy(
        study.id,
        study.finished_at if shown is None else shown.id,
        min((job.finished_at for job in jobs if job.finished_at), default=study.finished_at),
        study.station_name,
        study.outcome,
        cause_of(study.outcome, study.reason or "", had_job=shown is not None, mixed=mixed),
        _likeness(jobs) if study.outcome in ANALYSED else None,
        study.received_at,
        study.revision,
    )


def _likeness(jobs: Sequence[Job]) -> Likeness:
    """Compare what was analysed: of each series its newest revision."""
    newest = {job.series_id: job for job in sorted(jobs, key=lambda job: job.revision)}
    return likeness_of(job.look for job in newest.values() if job.outcome in ANALYSED)


def _hops_s(job: Job, series: Series) -> dict[str, float]:
    """Measure the stretches of a job's way that are known."""
    first_at, last_at = series.first_instance_at, series.last_instance_at
    moments = (
        # The first image of a later revision came long ago.
        (first_at if job.revision == 1 else None, last_at),
        (last_at, job.created_at),
        (job.created_at, job.dispatched_at),
        (job.dispatched_at or job.created_at, job.started_at),
        (job.started_at, job.finished_at),
    )
    return {
        name: max((end - begin).total_seconds(), 0.0)
        for name, (begin, end) in zip(HOPS, moments, strict=True)
        if begin is not None and end is not None
    }
