"""What ended since the last look, whichever host it ended on, by the tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session, load_only

from schema.monitoring.causes import Cause, cause_of
from schema.monitoring.likeness import Likeness, likeness_of
from schema.states import JobState, Outcome, StudyState
from schema.tables import Job, Series, Study

OVERLAP: Final = timedelta(seconds=60)  # clocks differ, and a transaction may take a while
RECALLED: Final = timedelta(
    hours=1
)  # what ended before is not looked at; it was only seen by a reader
ENDED: Final = (JobState.DONE, JobState.FAILED)
ANALYSED: Final = (Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE)
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
    Job.revision,
    Job.created_at,
    Job.dispatched_at,
    Job.started_at,
    Job.finished_at,
    Job.take_overs,
    Job.series_id,
    Job.look,
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
    likeness
        Of its analysed images to the training data; None where none were analysed.
    """

    id: int
    finished_at: datetime
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
    rows = _jobs_of(session, [study.id for study in changed])
    of_study: dict[int, list[Job]] = {study.id: [] for study in changed}
    for study_id, job, *_ in rows:
        if job.outcome is not None:
            of_study[study_id].append(job)
    jobs = [
        EndedJob(job.id, _hops_s(job, first_at, last_at), job.take_overs)
        for _, job, first_at, last_at in rows
        if job.state in ENDED and job.finished_at and job.finished_at > now - RECALLED
    ]
    return Ends([_ended(study, of_study[study.id]) for study in changed], jobs)


def _changed_studies(session: Session, now: datetime, since: datetime) -> Sequence[Study]:
    # By the time of the change alone: SQLite would rather walk all that is DONE.
    changed = select(Study).where(Study.changed_at > since - OVERLAP).options(load_only(*OF_STUDY))
    return [
        study
        for study in session.scalars(changed)
        if study.state == StudyState.DONE
        and study.outcome is not None
        and study.finished_at is not None
        and study.finished_at > now - RECALLED
    ]


def _jobs_of(session: Session, study_ids: Sequence[int]) -> Sequence[Any]:
    """Give the jobs of studies, each with its study and the times of its series."""
    times = (Series.first_instance_at, Series.last_instance_at)
    query = select(Series.study_id, Job, *times).join(Job).options(load_only(*OF_JOB))
    return session.execute(query.where(Series.study_id.in_(study_ids))).all()


def _ended(study: Study, jobs: Sequence[Job]) -> EndedStudy:
    assert study.outcome is not None
    assert study.finished_at is not None
    mixed = study.identity_alert is not None
    return EndedStudy(
        study.id,
        study.finished_at,
        study.station_name,
        study.outcome,
        cause_of(study.outcome, study.reason or "", had_job=bool(jobs), mixed=mixed),
        _likeness(jobs) if study.outcome in ANALYSED else None,
        study.received_at,
        study.revision,
    )


def _likeness(jobs: Sequence[Job]) -> Likeness:
    """Compare what was analysed: of each series its newest revision."""
    newest = {job.series_id: job for job in sorted(jobs, key=lambda job: job.revision)}
    return likeness_of(job.look for job in newest.values() if job.outcome in ANALYSED)


def _hops_s(job: Job, first_at: datetime, last_at: datetime) -> dict[str, float]:
    """Measure the stretches of a job's way that are known."""
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
