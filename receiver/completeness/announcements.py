"""What others say a series holds, read from their messages and kept as evidence.

Modality Performed Procedure Step (PS3.4 annex F), Instance Availability Notification (PS3.4 annex
R) and counts from queries (PS3.4 annex C).
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.protocol.identity import require_uid
from receiver.protocol.values import items, text
from schema.tables import Announcement

SeriesContents = Mapping[str, tuple[str, ...]]  # series: its SOP instances
MPPS_REFERENCES = ("ReferencedImageSequence", "ReferencedNonImageCompositeSOPInstanceSequence")


class CountSource(StrEnum):
    """How a count became known."""

    FIND = "C-FIND"
    MPPS = "MPPS"
    IAN = "IAN"


def read_performed_series(ds: Dataset) -> SeriesContents:
    """Read what a procedure step made (PS3.3 C.4.15), by series.

    Raises
    ------
    UnreadableObjectError
        If a series or an instance is named by something that is no UID.
    """
    return {
        _uid(series, "SeriesInstanceUID"): tuple(
            _uid(reference, "ReferencedSOPInstanceUID")
            for keyword in MPPS_REFERENCES
            for reference in items(series, keyword)
        )
        for series in items(ds, "PerformedSeriesSequence")
    }


def read_available(ds: Dataset) -> SeriesContents:
    """Read what an archive says it holds (PS3.3 C.4.23), by series; the unavailable do not count.

    Raises
    ------
    UnreadableObjectError
        If a series or an instance is named by something that is no UID.
    """
    return {
        _uid(series, "SeriesInstanceUID"): tuple(_available(series))
        for series in items(ds, "ReferencedSeriesSequence")
    }


def _available(series: Dataset) -> Iterator[str]:
    for reference in items(series, "ReferencedSOPSequence"):
        if text(reference, "InstanceAvailability") != "UNAVAILABLE":
            yield _uid(reference, "ReferencedSOPInstanceUID")


def read_study(ds: Dataset) -> str:
    """Read the study of a notification or a procedure step; empty if it names none."""
    steps = items(ds, "ScheduledStepAttributesSequence")
    return next((uid for item in (ds, *steps) if (uid := text(item, "StudyInstanceUID"))), "")


def note_contents(
    session: Session,
    source: CountSource,
    ae_title: str,
    study_instance_uid: str,
    contents: SeriesContents,
    now: datetime,
) -> None:
    """Keep lists of instances; a second message about a series adds to the first.

    A list may be empty, as that of a step that was aborted is: it says nothing of what was sent.
    """
    for series_uid, sop_uids in contents.items():
        if not sop_uids:
            continue
        row = _row(session, source, ae_title, study_instance_uid, series_uid)
        listed = list(dict.fromkeys([*(row.sop_instance_uids or ()), *sop_uids]))
        row.sop_instance_uids, row.instances, row.announced_at = listed, len(listed), now


def note_count(
    session: Session, ae_title: str, study_uid: str, series_uid: str, count: int, now: datetime
) -> None:
    """Keep a count; a newer one replaces it."""
    row = _row(session, CountSource.FIND, ae_title, study_uid, series_uid)
    row.instances, row.announced_at = count, now


def _row(
    session: Session, source: CountSource, ae_title: str, study_uid: str, series_uid: str
) -> Announcement:
    query = select(Announcement).where(
        Announcement.series_instance_uid == series_uid,
        Announcement.source == source,
        Announcement.ae_title == ae_title,
    )
    row = session.scalars(query).one_or_none()
    if row is None:
        row = Announcement(
            study_instance_uid=study_uid,
            series_instance_uid=series_uid,
            source=source,
            ae_title=ae_title,
        )
        session.add(row)
    return row


def merged(parts: Iterable[SeriesContents]) -> dict[str, tuple[str, ...]]:
    """Join several accounts of the same series."""
    joined: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for uid, sop_uids in part.items():
            joined[uid] = tuple(dict.fromkeys((*joined.get(uid, ()), *sop_uids)))
    return joined


def _uid(ds: Dataset, keyword: str) -> str:
    uid = text(ds, keyword)
    require_uid(keyword, uid)
    return uid
