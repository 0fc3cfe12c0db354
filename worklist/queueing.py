"""Which place a job has in the queue, and why: what `explain` and the study's page say of it."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

from sqlalchemy.orm import Session

from schema.queue import read_queue
from schema.states import ACTIVE
from schema.tables import Job, Study
from worklist.explanation import QueueAccount
from worklist.formatting import clock, printable

Places = Mapping[int, int]  # by the job's id, from 1


def read_places(session: Session, study: Study, now: datetime) -> Places:
    """Read the queue, if a job of the study may be in it."""
    if not any(job.state in ACTIVE for series in study.series for job in series.jobs):
        return {}
    return {job.id: place for place, job in enumerate(read_queue(session, now), 1)}


def account_queue(job: Job, places: Places) -> QueueAccount:
    """Say of a job which place it has, or had points for."""
    place, weighed = places.get(job.id), job.weighed or {}
    return QueueAccount(
        place=place,
        length=None if place is None else len(places),
        weight=job.weight,
        reasons=tuple(f"{each['says']} {each['points']:+g}" for each in weighed.get("reasons", ())),
        version=weighed.get("version"),
        overdue_at=job.overdue_at,
    )


def name_place(queue: QueueAccount, zone: tzinfo) -> str:
    """Say it in a line; what is over has points and no place."""
    if queue.version is None:
        points = "not weighed"
    else:
        why = "; ".join(map(printable, queue.reasons)) or "nothing speaks for it or against it"
        points = f"{queue.weight:g} points ({why}), order {printable(queue.version)}"
    if queue.place is None:
        return points
    turns = clock(queue.overdue_at, zone)
    bound = f"; takes turns with more urgent ones from {turns} on" if turns else ""
    return f"place {queue.place} of {queue.length}; {points}{bound}"
