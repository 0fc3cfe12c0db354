"""What the database knows of the series that arrive: their clocks, their slices, their counts."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from receiver.completeness.ages import Age, ReceivingSeries
from receiver.completeness.announcements import CountSource
from receiver.completeness.assess import Arrived, Count, SeriesClock
from schema.states import SeriesState
from schema.tables import Announcement, Association, Instance, Series


def receiving(session: Session) -> list[ReceivingSeries]:
    """List the series that are not decided on, and when they got something."""
    query = select(Series.id, Series.first_instance_at, Series.last_instance_at, Series.revision)
    rows = session.execute(query.where(Series.state == SeriesState.RECEIVING).order_by(Series.id))
    return [ReceivingSeries(*row) for row in rows]


def smallest_first(session: Session, series_ids: Sequence[int]) -> list[int]:
    """Sort series, so that a head does not wait for the thousands of images of a perfusion."""
    count = func.count(Instance.id)
    query = select(Instance.series_id).where(Instance.series_id.in_(series_ids))
    return list(session.scalars(query.group_by(Instance.series_id).order_by(count)))


@dataclass(frozen=True)
class Known:
    """What decides on whether series are whole: a few queries for all of them.

    Attributes
    ----------
    open_associations, slice_position_mm, counts
        By the id of the series.
    aborted
        The series whose newest association was aborted.
    """

    open_associations: Mapping[int, int]
    aborted: Collection[int]
    slice_position_mm: Mapping[int, Sequence[float]]
    counts: Mapping[int, Sequence[Count]]

    def clock(self, series_id: int, age: Age) -> SeriesClock:
        """Put together what is known of a series' arrival."""
        open_ones = self.open_associations.get(series_id, 0)
        aborted = series_id in self.aborted
        return SeriesClock(age.since_first_s, age.since_last_s, open_ones, aborted)

    def arrived(self, series_id: int) -> Arrived:
        """Give what is here of a series, and what others say of it."""
        return Arrived(self.slice_position_mm.get(series_id, []), self.counts.get(series_id, []))


def read_known(session: Session, series_ids: Sequence[int]) -> Known:
    """Read what is here of series: the most expensive question, for those that may be ready."""
    return Known(
        _open_associations(session, series_ids),
        _aborted(session, series_ids),
        _slice_position_mm(session, series_ids),
        _counts(session, series_ids),
    )


def _open_associations(session: Session, ids: Sequence[int]) -> dict[int, int]:
    query = (
        select(Instance.series_id, func.count(Association.id.distinct()))
        .join(Association, Instance.association_id == Association.id)
        .where(Instance.series_id.in_(ids), Association.closed_at.is_(None))
        .group_by(Instance.series_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _aborted(session: Session, ids: Sequence[int]) -> set[int]:
    """List the series whose newest association ended without a release."""
    query = (
        select(Instance.series_id, Association.opened_at, Association.id, Association.aborted)
        .join(Association, Instance.association_id == Association.id)
        .where(Instance.series_id.in_(ids))
        .order_by(Association.opened_at, Association.id)
        .distinct()
    )
    newest = {row.series_id: row.aborted for row in session.execute(query)}  # the last one stays
    return {series_id for series_id, aborted in newest.items() if aborted}


def newest_association(session: Session, series_id: int) -> Association | None:
    """Give the association that delivered to a series last."""
    query = (
        select(Association)
        .join(Instance, Instance.association_id == Association.id)
        .where(Instance.series_id == series_id)
        .order_by(Association.opened_at.desc(), Association.id.desc())
    )
    return session.scalars(query.limit(1)).first()


def went_on(session: Session, series_id: int, association_id: int) -> bool:
    """Say whether an association delivered more after the newest instance of a series."""
    newest = select(func.max(Instance.id)).where(Instance.series_id == series_id)
    later = select(Instance.id).where(
        Instance.id > newest.scalar_subquery(), Instance.association_id == association_id
    )
    return session.scalar(later.limit(1)) is not None


def was_cut_short(session: Session, series_id: int) -> bool:
    """Say whether an abort ended the sending of a series, and no count says that all is here."""
    if not _aborted(session, [series_id]):
        return False
    counts = _counts(session, [series_id]).get(series_id, [])
    return not counts or not all(count.is_complete for count in counts)


def _slice_position_mm(session: Session, ids: Sequence[int]) -> dict[int, list[float]]:
    query = select(Instance.series_id, Instance.slice_position_mm)
    found: dict[int, list[float]] = defaultdict(list)
    for series_id, places in session.execute(query.where(Instance.series_id.in_(ids))):
        found[series_id] += places or ()
    return found


def _counts(session: Session, ids: Sequence[int]) -> dict[int, list[Count]]:
    query = (
        select(Series.id, Announcement)
        .join(Announcement, Announcement.series_instance_uid == Series.series_instance_uid)
        .where(
            Series.id.in_(ids),
            Announcement.instances > 0,  # of a series with images, no count at all
            # A sender that receives itself counts on: what it said before the newest is stale.
            or_(
                Announcement.source != CountSource.FIND,
                Announcement.announced_at > Series.last_instance_at,
            ),
        )
        .order_by(Announcement.id)
    )
    announced = session.execute(query).all()
    here = _uids(session, [row[0] for row in announced])
    counts: dict[int, list[Count]] = defaultdict(list)
    for series_id, announcement in announced:
        source = f"{announcement.source} of {announcement.ae_title}"
        arrived = _arrived(announcement, here[series_id])
        counts[series_id].append(Count(source, announcement.instances, arrived))
    return counts


def _uids(session: Session, ids: Sequence[int]) -> dict[int, set[str]]:
    query = select(Instance.series_id, Instance.sop_instance_uid)
    found: dict[int, set[str]] = defaultdict(set)
    for series_id, uid in session.execute(query.where(Instance.series_id.in_(ids))):
        found[series_id].add(uid)
    return found


def _arrived(announcement: Announcement, here: set[str]) -> int:
    """Count what is here of what was announced: by UID where they are listed, else by number."""
    listed = announcement.sop_instance_uids
    return len(here) if listed is None else len(here.intersection(listed))
