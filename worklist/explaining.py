"""Read everything that is known about one study, for `explain`, the API and the study's page."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload

from schema.database import Database, read_clock
from schema.deciding_job import shown_job
from schema.monitoring.open_studies import find_late
from schema.tables import (
    Announcement,
    Delivery,
    IdentityEvent,
    Instance,
    Job,
    Series,
    Study,
)
from worklist.entries import Entry
from worklist.explanation import (
    Announced,
    DeliveryAccount,
    Explanation,
    IdentityAccount,
    JobAccount,
    LeftOut,
    QueueAccount,
    Resent,
    SeriesAccount,
)
from worklist.queries import find_study, with_results
from worklist.queueing import account_queue, read_places
from worklist.rows import make_entry, make_findings, make_objects
from worklist.window import LATE


@dataclass(frozen=True)
class _Arrivals:
    """What is worth saying of the instances of one series."""

    resent: tuple[Resent, ...]
    left_out: tuple[LeftOut, ...]
    announced: tuple[Announced, ...]


def read_explanation(
    database: Database, storage: Path, name: str, late: timedelta = LATE
) -> Explanation | None:
    """Read all that led to the outcome of a study; None if nobody sent it.

    Parameters
    ----------
    name
        Its Study Instance UID, or its accession number.
    late
        It is late if nothing moved in it for so long.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer.
    AmbiguousStudyError
        If several studies have this accession number.
    """
    with database.reading() as session:
        study = find_study(session, name, *with_results())
        if study is None:
            return None
        now, late_ones = read_clock(session), find_late(session, late.total_seconds())
        return _explain(session, study, now, make_entry(study, now, storage, late_ones), storage)


def _explain(
    session: Session, study: Study, now: datetime, entry: Entry, storage: Path
) -> Explanation:
    counts, resent = _count_instances(session, study), _find_resent(session, study)
    left_out, announced = _find_left_out(session, study), _find_announced(session, study)
    shown, places = shown_job(study.series), read_places(session, study, now)
    return Explanation(
        read_at=now,
        entry=entry,
        ready_after_s=_seconds(study.received_at, study.ready_at),
        finished_after_s=_seconds(study.received_at, study.finished_at),
        deliveries=_find_deliveries(session, study),
        identities=_find_identities(session, study),
        series=tuple(
            _account_series(
                series,
                counts.get(series.id, 0),
                _Arrivals(
                    tuple(resent[series.id]),
                    tuple(left_out[series.id]),
                    tuple(announced[series.series_instance_uid]),
                ),
                tuple(
                    _account_job(job, job is shown, account_queue(job, places), storage)
                    for job in series.jobs
                ),
            )
            for series in study.series
        ),
    )


def _count_instances(session: Session, study: Study) -> dict[int, int]:
    number = sa.func.count(sa.distinct(Instance.sop_instance_uid))
    query = sa.select(Instance.series_id, number).join(Series)
    rows = session.execute(query.where(Series.study_id == study.id).group_by(Instance.series_id))
    return {series_id: count for series_id, count in rows}  # noqa: C416 - a Row is typed, dict() not


def _find_resent(session: Session, study: Study) -> dict[int, list[Resent]]:
    versions = sa.func.count(Instance.id)
    query = (
        sa.select(Instance.series_id, Instance.sop_instance_uid, versions)
        .join(Series)
        .where(Series.study_id == study.id)
        .group_by(Instance.series_id, Instance.sop_instance_uid)
        .having(versions > 1)
        .order_by(Instance.sop_instance_uid)
    )
    found: dict[int, list[Resent]] = defaultdict(list)
    for series_id, uid, count in session.execute(query):
        found[series_id].append(Resent(uid, count))
    return found


def _find_left_out(session: Session, study: Study) -> dict[int, list[LeftOut]]:
    number = sa.func.count(sa.distinct(Instance.sop_instance_uid))
    query = (
        sa.select(Instance.series_id, Instance.left_out, number)
        .join(Series)
        .where(Series.study_id == study.id, Instance.left_out.is_not(None))
        .group_by(Instance.series_id, Instance.left_out)
        .order_by(number.desc(), Instance.left_out)
    )
    found: dict[int, list[LeftOut]] = defaultdict(list)
    for series_id, reason, count in session.execute(query):
        found[series_id].append(LeftOut(count, reason or ""))
    return found


def _find_announced(session: Session, study: Study) -> dict[str, list[Announced]]:
    query = sa.select(Announcement).where(
        Announcement.series_instance_uid.in_(
            [series.series_instance_uid for series in study.series]
        )
    )
    found: dict[str, list[Announced]] = defaultdict(list)
    for announcement in session.scalars(query.order_by(Announcement.id)):
        said = Announced(
            announcement.source,
            announcement.ae_title,
            announcement.instances,
            announcement.announced_at,
        )
        found[announcement.series_instance_uid].append(said)
    return found


def _find_deliveries(session: Session, study: Study) -> tuple[DeliveryAccount, ...]:
    query = (
        sa.select(Delivery)
        .where(Delivery.study_id == study.id)
        .options(selectinload(Delivery.object))
        .order_by(Delivery.created_at, Delivery.id)
    )
    return tuple(
        DeliveryAccount(
            destination=row.destination,
            what=row.object.kind if row.object else "message",
            state=row.state,
            attempts=row.attempts,
            created_at=row.created_at,
            sent_at=row.sent_at,
            committed_at=row.committed_at,
            last_error=row.last_error,
        )
        for row in session.scalars(query)
    )


def _find_identities(session: Session, study: Study) -> tuple[IdentityAccount, ...]:
    query = sa.select(IdentityEvent).where(IdentityEvent.study_id == study.id)
    return tuple(
        IdentityAccount(
            kind=event.kind,
            differs=event.differs,
            earlier_patient_id=str(event.earlier.get("patient_id", "")),
            later_patient_id=str(event.later.get("patient_id", "")),
            series_instance_uid=event.series_instance_uid,
            noted_at=event.noted_at,
            resolved_at=event.resolved_at,
        )
        for event in session.scalars(query.order_by(IdentityEvent.id))
    )


def _account_series(
    series: Series, instances: int, arrivals: _Arrivals, jobs: tuple[JobAccount, ...]
) -> SeriesAccount:
    return SeriesAccount(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        description=series.description,
        series_number=series.series_number,
        state=series.state,
        completed_by=series.completed_by,
        cut_short=series.cut_short,
        score=series.score,
        reason=series.reason,
        selection_version=series.selection_version,
        revision=series.revision,
        instances=instances,
        resent=arrivals.resent,
        left_out=arrivals.left_out,
        announced=arrivals.announced,
        removed_instances=series.removed_instances,
        first_instance_at=series.first_instance_at,
        last_instance_at=series.last_instance_at,
        jobs=jobs,
    )


def _account_job(job: Job, shown: bool, queue: QueueAccount, storage: Path) -> JobAccount:
    return JobAccount(
        id=job.id,
        revision=job.revision,
        state=job.state,
        shown=shown,
        attempts=job.attempts,
        owner=job.owner,
        lease_until=job.lease_until,
        created_at=job.created_at,
        due_at=job.due_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        last_error=job.last_error,
        outcome=job.outcome,
        reason=job.reason,
        priority=job.priority,
        priority_reason=job.priority_reason,
        rule_version=job.rule_version,
        measured=dict(job.measured or {}),
        look=dict(job.look or {}),
        timings_s=dict(job.timings_s or {}),
        model=job.model,
        model_sha256=job.model_sha256,
        findings=make_findings(job),
        queue=queue,
        slices=dict(job.slices or {}),
        objects=make_objects(job, storage),
    )


def _seconds(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()
