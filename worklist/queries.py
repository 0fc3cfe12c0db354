"""What the list and the explanation ask: a fixed number of queries for any number of studies."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.sql.base import ExecutableOption

from schema.database import Database, read_clock
from schema.errors import PermanentError
from schema.monitoring.open_studies import OPEN, find_late
from schema.monitoring.signs import Part, find_missing
from schema.states import Outcome
from schema.tables import (
    Announcement,
    Delivery,
    IdentityEvent,
    Instance,
    Job,
    ResultObject,
    Series,
    Study,
)
from worklist.entries import Entry, Worklist
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
from worklist.listing import CRITICAL, count_unread, newest_critical, place_of, select_ids
from worklist.queueing import account_queue, read_places
from worklist.rows import deciding_job, make_entry, make_findings, make_objects
from worklist.window import LATE, Window
from worklist.wording import STILL_STANDS

PLAIN = Window(limit=1000)
MOST_NAMED = 20
MOST_STATIONS = 30
FILLING = (Part.RECEIVER, Part.TRIAGE)  # without which an empty list says nothing


class AmbiguousStudyError(PermanentError):
    """Several studies bear the accession number that was asked for."""


@dataclass(frozen=True)
class _Arrivals:
    """What is worth saying of the instances of one series."""

    resent: tuple[Resent, ...]
    left_out: tuple[LeftOut, ...]
    announced: tuple[Announced, ...]


def read_worklist(database: Database, storage: Path, window: Window = PLAIN) -> Worklist:
    """Read a window of the list: unread first, the most urgent of them, the newest within a level.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer.
    """
    with database.reading() as session:
        now, late = read_clock(session), find_late(session, window.late.total_seconds())
        again = _analysed_again(session, window.outcome) if window.outcome else []
        ids = list(session.scalars(select_ids(window, now, again)))
        shown = ids[: window.limit]
        loaded = session.scalars(
            sa.select(Study).where(Study.id.in_(shown)).options(*_with_results())
        )
        studies = sorted(loaded, key=lambda study: shown.index(study.id))
        return Worklist(
            read_at=now,
            entries=tuple(make_entry(study, now, storage, late) for study in studies),
            after=place_of(studies[-1]) if len(ids) > window.limit else None,
            unread_critical=count_unread(session, CRITICAL),
            unread=count_unread(session),
            newest_critical_at=newest_critical(session),
            late=len(late),
            missing=find_missing(session, FILLING),
        )


def _analysed_again(session: Session, outcome: Outcome) -> list[int]:
    """Find the studies that are shown with an outcome of earlier images; open ones are few."""
    if outcome not in STILL_STANDS:
        return []
    had = Study.series.any(Series.jobs.any(Job.outcome == outcome))
    some = sa.select(Study).where(Study.state.in_(OPEN), had)
    loaded = session.scalars(some.options(selectinload(Study.series).selectinload(Series.jobs)))
    decided = ((study.id, deciding_job(study.series)) for study in loaded)
    return [number for number, job in decided if job is not None and job.outcome is outcome]


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
        study = find_study(session, name, *_with_results())
        if study is None:
            return None
        now, late_ones = read_clock(session), find_late(session, late.total_seconds())
        return _explain(session, study, now, make_entry(study, now, storage, late_ones), storage)


def find_study(session: Session, name: str, *options: ExecutableOption) -> Study | None:
    """Find a study by its UID, else by its accession number; never guess between two.

    Raises
    ------
    AmbiguousStudyError
        If several studies have this accession number.
    """
    by_uid = sa.select(Study).where(Study.study_instance_uid == name).options(*options)
    if (study := session.scalars(by_uid).one_or_none()) is not None or not name.strip():
        return study
    by_accession = sa.select(Study).where(Study.accession_number == name).options(*options)
    found = session.scalars(by_accession.order_by(Study.id).limit(MOST_NAMED)).all()
    if len(found) > 1:
        uids = ", ".join(study.study_instance_uid for study in found)
        raise AmbiguousStudyError(f"accession number {name} belongs to {uids}; name one of them")
    return found[0] if found else None


def read_stations(database: Database) -> list[str]:
    """List the stations that sent something, each found by a step in the index."""
    found: list[str] = []
    with database.reading() as session:
        while len(found) < MOST_STATIONS:
            last = found[-1] if found else ""
            following = sa.select(sa.func.min(Study.station_name)).where(Study.station_name > last)
            name = session.scalar(following)
            if name is None:
                break
            found.append(name)
    return found


def check_database(database: Database) -> None:
    """Ask the database for one row.

    Raises
    ------
    DatabaseUnavailableError
        If it does not answer.
    """
    with database.reading() as session:
        session.execute(sa.select(Study.id).limit(1))


def _with_results() -> tuple[ExecutableOption, ...]:
    jobs = selectinload(Study.series).selectinload(Series.jobs)
    return (
        jobs.selectinload(Job.findings),
        jobs.selectinload(Job.key_picture),
        jobs.selectinload(Job.objects).selectinload(ResultObject.deliveries),
        selectinload(Study.objects).selectinload(ResultObject.deliveries),
    )


def _explain(
    session: Session, study: Study, now: datetime, entry: Entry, storage: Path
) -> Explanation:
    counts, resent = _count_instances(session, study), _find_resent(session, study)
    left_out, announced = _find_left_out(session, study), _find_announced(session, study)
    shown, places = deciding_job(study.series), read_places(session, study, now)
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
