"""What the database knows of the series that arrive: their clocks, their slices, their counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from receiver.completeness.announcements import Source
from receiver.completeness.assess import Arrived, CompletenessTimeouts, Count, SeriesClock
from schema.states import SeriesState
from schema.tables import Announcement, Association, Instance, Series


@dataclass(frozen=True)
class DueSeries:
    """A series that may be ready, with all that decides on it."""

    series_id: int
    clock: SeriesClock
    arrived: Arrived


def due_ids(session: Session, timeouts: CompletenessTimeouts, now: datetime) -> list[int]:
    """List the series that have been quiet for a while or are overdue.

    Those that still stream are not even looked at: that would cost more with every slice.
    """
    return list(session.scalars(select(Series.id).where(*_is_due(timeouts, now))))


def due_series(session: Session, ids: Sequence[int]) -> list[DueSeries]:
    """Read the clocks, slices and counts of series that still receive."""
    query = select(Series).where(Series.id.in_(ids), Series.state == SeriesState.RECEIVING)
    return [_due(session, series) for series in session.scalars(query)]


def _is_due(timeouts: CompletenessTimeouts, now: datetime) -> Sequence[ColumnElement[bool]]:
    quiet_since, capped_since = timeouts.may_be_due(now)
    return (
        Series.state == SeriesState.RECEIVING,
        or_(Series.last_instance_at <= quiet_since, Series.first_instance_at <= capped_since),
    )


def _due(session: Session, series: Series) -> DueSeries:
    clock = SeriesClock(
        series.first_instance_at,
        series.last_instance_at,
        _open_associations(session, series.id),
    )
    arrived = Arrived(_slice_position_mm(session, series.id), _counts(session, series))
    return DueSeries(series.id, clock, arrived)


def _open_associations(session: Session, series_id: int) -> int:
    query = (
        select(func.count(Association.id.distinct()))
        .join(Instance, Instance.association_id == Association.id)
        .where(Instance.series_id == series_id, Association.closed_at.is_(None))
    )
    return session.scalar(query) or 0


def _slice_position_mm(session: Session, series_id: int) -> list[float]:
    query = select(Instance.slice_position_mm).where(Instance.series_id == series_id)
    return [place for places in session.scalars(query) for place in places or ()]


def _counts(session: Session, series: Series) -> list[Count]:
    query = select(Announcement).where(
        Announcement.series_instance_uid == series.series_instance_uid,
        # A sender that receives itself counts on: what it said before the newest image is stale.
        or_(
            Announcement.source != Source.FIND,
            Announcement.announced_at > series.last_instance_at,
        ),
    )
    announcements = session.scalars(query.order_by(Announcement.id)).all()
    if not announcements:
        return []
    uids = select(Instance.sop_instance_uid).where(Instance.series_id == series.id)
    here = set(session.scalars(uids))
    return [
        Count(
            f"{announcement.source} of {announcement.ae_title}",
            announcement.instances,
            _arrived(announcement, here),
        )
        for announcement in announcements
    ]


def _arrived(announcement: Announcement, here: set[str]) -> int:
    """Count what is here of what was announced: by UID where they are listed, else by number."""
    listed = announcement.sop_instance_uids
    return len(here) if listed is None else len(here.intersection(listed))
