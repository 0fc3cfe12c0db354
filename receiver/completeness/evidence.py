"""What the database knows of the series that arrive: their clocks, their slices, their counts."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from receiver.completeness.ages import Age, Arrival
from receiver.completeness.announcements import Source
from receiver.completeness.assess import Arrived, Count, SeriesClock
from schema.states import SeriesState
from schema.tables import Announcement, Association, Instance, Series


def receiving(session: Session) -> list[Arrival]:
    """List the series that are not decided on, and when they got something."""
    query = select(Series.id, Series.first_instance_at, Series.last_instance_at)
    rows = session.execute(query.where(Series.state == SeriesState.RECEIVING).order_by(Series.id))
    return [Arrival(*row) for row in rows]


def smallest_first(session: Session, series_ids: Sequence[int]) -> list[int]:
    """Sort series, so that a head does not wait for the thousands of images of a perfusion."""
    count = func.count(Instance.id)
    query = select(Instance.series_id).where(Instance.series_id.in_(series_ids))
    return list(session.scalars(query.group_by(Instance.series_id).order_by(count)))


def clock_of(session: Session, series_id: int, age: Age) -> SeriesClock:
    """Put together what is known of a series' arrival."""
    return SeriesClock(age.since_first_s, age.since_last_s, _open_associations(session, series_id))


def arrived(session: Session, series_id: int) -> Arrived:
    """Read what is here of a series: the most expensive question, for those that may be ready."""
    series = session.get_one(Series, series_id)
    return Arrived(_slice_position_mm(session, series_id), _counts(session, series))


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
