"""Make the job of a series, with its place in the queue."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.dispatch.order import Order
from receiver.dispatch.weigh import Sent, weigh
from receiver.instance.requested import requested_from
from schema.deciding_job import newest_ended
from schema.dicom import DimsePriority
from schema.states import UNANALYSED
from schema.tables import Association, Instance, Job, Series

DATE_LETTERS = len("YYYYMMDD")


def new_job(session: Session, series: Series, order: Order, now: datetime) -> Job:
    """Make the job of a series' revision; its points are those of this moment."""
    weight = weigh(read_sent(session, series, now), order)
    return Job(
        revision=series.revision,
        created_at=now,
        due_at=now,
        weight=weight.points,
        weighed=weight.to_json(),
        overdue_at=now + timedelta(minutes=order.overdue_min),
    )


def read_sent(session: Session, series: Series, now: datetime) -> Sent:
    """Read how a series was sent and asked for."""
    ways = (
        select(Association.calling_ae, Association.called_ae, Instance.dimse_priority)
        .select_from(Instance)
        .outerjoin(Association)
        .where(Instance.series_id == series.id)
        .distinct()
    )
    calling, called, priorities = set(), set(), set()
    for calling_ae, called_ae, priority in session.execute(ways):
        calling.add(calling_ae or "")
        called.add(called_ae or "")
        priorities |= set() if priority is None else {DimsePriority(priority)}
    requested, ended = requested_from(series.requested), newest_ended(series)
    return Sent(
        calling,
        called,
        series.study.station_name,
        priorities,
        requested.priority,
        requested.locations,
        (series.study.study_description, series.description),
        was_analysed=ended is not None and ended.outcome not in UNANALYSED,
        scanned_days_ago=_days_since(series.scanned_at, now),
    )


def _days_since(scanned_at: str, now: datetime) -> int | None:
    """Count whole days; its time of day is that of a zone that nobody names."""
    try:
        scanned_on = datetime.strptime(scanned_at[:DATE_LETTERS], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (now.date() - scanned_on.date()).days
