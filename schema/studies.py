"""Lock a study, and derive what it shows from its series and their jobs.

The worklist, the receiver and the worker all see a study through this: its state, its outcome with
the reason, and its priority, which is only ever raised. Whoever changes a series or a job locks
its study first and the job after it; so two of them that end at once never miss each other, and
never wait for each other in a circle.
"""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from schema.database import Database
from schema.deciding_job import SUSPICIOUS, newest_ended, refused_heads, shown_job
from schema.one_by_one import OneByOne
from schema.reason_words import PART_SEEN
from schema.states import (
    ACTIVE,
    ENDED,
    UNANALYSED,
    JobState,
    Level,
    Outcome,
    SeriesState,
    StudyState,
    move,
    urgency,
)
from schema.tables import Job, Series, Study

UNDER_WAY = (StudyState.READY, StudyState.RUNNING)
LEFT_UNANALYSED = {Outcome.FAILED: "analysis failed", Outcome.NOT_ANALYSED: "not analysed"}
MAY_BE_CT = ("CT", "")
HAD_ITS_TURN = (*ACTIVE, *ENDED)

log = structlog.get_logger()


def lock_study(session: Session, study_id: int) -> Study:
    """Lock a study until the transaction ends; give it with its series and jobs as they are now.

    What was read of it before is read again. A transaction that needs several studies locks them
    in the order of their ids. SQLite has one writer at a time and needs no lock.
    """
    locked = (
        select(Study)
        .where(Study.id == study_id)
        .options(selectinload(Study.series).selectinload(Series.jobs))
        # Not FOR UPDATE itself: that would also hold up whoever adds a series to the study.
        .with_for_update(key_share=True, of=Study)
        .execution_options(populate_existing=True)
    )
    return session.scalars(locked).one()


def lock_study_of_job(session: Session, job_id: int) -> Study | None:
    """Lock the study that a job belongs to; None if there is no such job."""
    study_id = session.scalar(select(Series.study_id).join(Job).where(Job.id == job_id))
    return None if study_id is None else lock_study(session, study_id)


def update_study(session: Session, study: Study) -> None:
    """Bring the study's own columns in line with its series and jobs; it is locked from here on."""
    session.flush()
    lock_study(session, study.id)
    ended = [job for series in study.series if (job := newest_ended(series)) is not None]
    study.patient_name = study.patient_name  # folds for the search what an older receiver wrote
    study.state = move(study.state, _state(study, ended))
    study.revision = max((series.revision for series in study.series), default=1)
    jobs = [job for series in study.series for job in series.jobs]
    study.ready_at = min((job.created_at for job in jobs), default=None)
    shown = shown_job(study.series)
    _raise_priority(study, jobs, shown)
    _conclude(study, shown, ended)
    study.finished_at = _finished_at(study, shown, ended)
    if any(_is_critical_since(study.escalated_at, job) for job in jobs):
        study.escalated_at = None
    study.swept_at = study.statement_due_at = None
    ended_at = study.finished_at or study.received_at
    study.second_choice_at = None if second_choice(study) is None else ended_at
    if study.state in UNDER_WAY or any(_may_be_arriving_ct(series) for series in study.series):
        study.stated_revision = None  # that it was not analysed is stated anew where it ends so


class Healer:
    """Updates each study whose state contradicts its jobs, and says so.

    There are none unless somebody wrote rows by hand or a program that does not lock did.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._one_by_one = OneByOne(database, Study, "study cannot be healed")

    def heal(self) -> int:
        """Heal them; return how many there were."""
        with self._database.reading() as session:
            suspects = inconsistent_ids(session)
        return self._one_by_one.do(suspects, lambda each: _heal(self._database, each))


def inconsistent_ids(session: Session) -> Sequence[int]:
    """List studies that are under way without an active job, or not although one is."""
    active = select(Series.study_id).join(Job).where(Job.state.in_(ACTIVE))
    under_way = Study.state.in_(UNDER_WAY)
    forgotten = select(Study.id).where(under_way, Study.id.not_in(active))
    unnoticed = select(Study.id).where(Study.id.in_(active), ~under_way)
    return session.scalars(forgotten.union(unnoticed)).all()


def _heal(database: Database, study_id: int) -> bool:
    with database.transaction() as session:
        study = lock_study(session, study_id)
        before = study.state
        update_study(session, study)
        if study.state == before:  # it moved on since it was listed
            return False
        uid, after = study.study_instance_uid, study.state
    log.warning("study healed", study=uid, before=before, after=after)
    return True


def second_choice(study: Study) -> Series | None:
    """Give the best eligible series that had no turn, if the study ended unanalysed and has one."""
    if study.state != StudyState.DONE or study.outcome not in UNANALYSED:
        return None
    eligible = [
        series
        for series in study.series
        if series.state != SeriesState.RECEIVING
        and series.score is not None
        and not any(job.state in HAD_ITS_TURN for job in series.jobs)
    ]
    return max(eligible, key=lambda series: series.score or 0, default=None)


def _state(study: Study, ended: Sequence[Job]) -> StudyState:
    active = {job.state for series in study.series for job in series.jobs if job.state in ACTIVE}
    if JobState.RUNNING in active:
        return StudyState.RUNNING
    if JobState.READY in active:
        return StudyState.READY
    receiving = [series for series in study.series if series.state == SeriesState.RECEIVING]
    # A report that an archive sends back changes no result; CT images, or what may be some, do.
    more = [series for series in receiving if not ended or series.modality in MAY_BE_CT]
    return StudyState.RECEIVING if more else StudyState.DONE


def _may_be_arriving_ct(series: Series) -> bool:
    return series.state == SeriesState.RECEIVING and series.modality in MAY_BE_CT


def _raise_priority(study: Study, jobs: Sequence[Job], shown: Job | None) -> None:
    """Raise it to the most urgent; of equals the job that is shown gives the reason, or the newest.

    What found nothing in a part of the head gives none before one that suspects something. Jobs
    that have not ended have no level and so the lowest urgency.
    """

    def rank(job: Job) -> tuple[int, bool, bool, int]:
        is_part = PART_SEEN in (job.priority_reason or "")
        return -urgency(job.priority), job is shown, not is_part, job.id or 0

    best = max(jobs, key=rank, default=None)
    if best is None or urgency(best.priority) == Level.NONE_FOUND:
        return
    if urgency(best.priority) <= urgency(study.priority):
        study.priority, study.priority_reason = best.priority, best.priority_reason


def _conclude(study: Study, shown: Job | None, ended: Sequence[Job]) -> None:
    if study.state != StudyState.DONE:
        study.outcome = study.reason = study.coverage = None
        return
    if shown is None:
        study.outcome, study.model, study.coverage = Outcome.NOT_ANALYSED, None, None
        refused = refused_heads(study.series) if ended else study.series
        said = [_rejection(series, series.reason) for series in refused]
    else:
        study.outcome, study.model, study.coverage = shown.outcome, shown.model, shown.coverage
        said = [shown.reason or "", *_left_unanalysed(study, shown, ended)]
    study.reason = "; ".join([*_alert(study), *said])
    if urgency(study.priority) == Level.NONE_FOUND:  # never raised: it may follow the outcome
        study.priority = Level.NOT_ANALYSED if shown is None else shown.priority
        study.priority_reason = study.reason if shown is None else shown.priority_reason


def _finished_at(study: Study, shown: Job | None, ended: Sequence[Job]) -> datetime | None:
    """Give when the newest of its results came: whoever saw an earlier one has not seen that.

    That a series which may be a head was refused is one, too, of when its last image came.

    Until more images are analysed too there is none, and the study is unread; but a suspicion that
    nobody saw stands meanwhile, so that it is called out and can be marked as seen.
    """
    newest = max((job.finished_at for job in ended if job.finished_at), default=None)
    if study.state == StudyState.DONE:
        counted = study.series if newest is None else refused_heads(study.series)
        arrived = [series.last_instance_at for series in counted]
        return max([*arrived, newest] if newest else arrived)
    seen_at = study.acknowledged_at
    was_seen = newest is not None and seen_at is not None and seen_at >= newest
    stands = shown is not None and shown.outcome in SUSPICIOUS
    return newest if stands and not was_seen else None


def _is_critical_since(moment: datetime | None, job: Job) -> bool:
    if moment is None or job.finished_at is None:
        return False
    return job.priority == Level.CRITICAL and job.finished_at > moment


def _alert(study: Study) -> list[str]:
    """Say first what may have put two people under one study."""
    return [study.identity_alert] if study.identity_alert else []


def _left_unanalysed(study: Study, shown: Job, ended: Sequence[Job]) -> list[str]:
    """Say of the other series that may be a head why they were not analysed, beside one that was.

    That is, of those that had a turn, and of those that the selection refused.
    """
    if shown.outcome == Outcome.NOT_ANALYSED:
        return []
    had_turn = [
        f"{LEFT_UNANALYSED[job.outcome]}: {_rejection(job.series, job.reason)}"
        for job in ended
        if job is not shown and job.outcome in LEFT_UNANALYSED
    ]
    refused = refused_heads(study.series)
    return had_turn + [f"not analysed: {_rejection(each, each.reason)}" for each in refused]


def _rejection(series: Series, reason: str | None) -> str:
    return f"series {series.name}: {reason}"
