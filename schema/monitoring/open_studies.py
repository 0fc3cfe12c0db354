"""Reconciliation: what was received and has not ended, and what of it is late."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.moments import OTHER_CLOCKS
from schema.states import ACTIVE, SeriesState, StudyState
from schema.tables import Job, Series, Study

OPEN: Final = (StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING)
MOST: Final = 10  # late ones that are named


@dataclass(frozen=True)
class OpenStudy:
    """A study that was received and has not ended; a key, and no patient."""

    study_instance_uid: str
    state: StudyState
    open_since: datetime


@dataclass(frozen=True)
class Reconciliation:
    """Received minus ended."""

    open: int
    late: int
    oldest_s: float
    named: tuple[OpenStudy, ...]  # the late ones that wait the longest


def reconcile(session: Session, late_s: float) -> Reconciliation:
    """Count the studies that were received and have not ended.

    Late is one of which nothing has moved for so long: no image came, and no job was made. So is
    one that moved at a moment that is still to come: the clock was set back, and nobody knows when.
    """
    now = read_clock(session)
    waiting = sorted(_waiting(session), key=lambda study: study.open_since)
    late = _late(waiting, now, late_s)
    oldest_s = (now - waiting[0].open_since).total_seconds() if waiting else 0.0
    return Reconciliation(len(waiting), len(late), max(oldest_s, 0.0), tuple(late[:MOST]))


def find_late(session: Session, late_s: float) -> frozenset[str]:
    """Give the UIDs of those that are late, as `reconcile` counts them."""
    late = _late(_waiting(session), read_clock(session), late_s)
    return frozenset(study.study_instance_uid for study in late)


def _late(waiting: Sequence[OpenStudy], now: datetime, late_s: float) -> list[OpenStudy]:
    longest = timedelta(seconds=late_s)
    return [study for study in waiting if not -OTHER_CLOCKS <= now - study.open_since <= longest]


def _waiting(session: Session) -> Sequence[OpenStudy]:
    """List open studies with the time of what moved last in each: an image, or a new job.

    Three questions with an index each; joined, they would read every study.
    """
    jobs = select(Series.study_id, Job.created_at).join(Job).where(Job.state.in_(ACTIVE))
    images = select(Series.study_id, Series.last_instance_at).where(
        Series.state == SeriesState.RECEIVING
    )
    moved: dict[int, datetime] = {}
    for study_id, moment in (*session.execute(jobs), *session.execute(images)):
        moved[study_id] = max(moment, moved.get(study_id, moment))
    studies = select(Study.id, Study.study_instance_uid, Study.state, Study.received_at)
    return [
        OpenStudy(uid, state, max(received_at, moved.get(study_id, received_at)))
        for study_id, uid, state, received_at in session.execute(
            studies.where(Study.state.in_(OPEN))
        )
    ]
