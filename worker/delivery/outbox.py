"""Rows of the outbox, written in the transaction of the result that they deliver."""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import ColumnElement, false, func, not_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from schema.canaries import is_canary
from schema.database import read_clock
from schema.deciding_job import SUSPICIOUS
from schema.states import DeliveryState, StudyState, urgency
from schema.tables import Delivery, Job, ResultObject, Study, StudyEvent
from worker.delivery.destinations import (
    Destination,
    Destinations,
    DicomDestination,
    Hl7Destination,
    WebhookDestination,
)

CONTROL_ID: Final = 20  # characters of MSH-10 in HL7 v2.5.1
RESULT: Final = "RESULT"


def enqueue_job(session: Session, job: Job, destinations: Destinations) -> int:
    """Add what a job's result owes each destination; return how many rows are new."""
    session.flush()
    study = job.series.study
    rows = [
        row
        for target in destinations.destinations
        for row in _rows(session, target, study, job.objects, job.priority, f"job {job.id}")
    ]
    return _add(session, rows, job.id)


def enqueue_study(
    session: Session, study: Study, objects: Iterable[ResultObject], destinations: Destinations
) -> int:
    """Add what a study that was not analysed owes each destination."""
    session.flush()
    # The same images may end in another way: a second choice of series, or what came later.
    objects, about = list(objects), f"revision {study.revision} {study.finished_at}"
    rows = [
        row
        for target in destinations.destinations
        for row in _rows(session, target, study, objects, study.priority, about)
    ]
    return _add(session, rows, None)


def enqueue_event(
    session: Session, study: Study, event: StudyEvent, destinations: Destinations
) -> int:
    """Add what happened to a study for each destination that wants to hear of it."""
    about = f"event {event.id}"
    rows = [
        Delivery(
            destination=target.name,
            key=message_key(target.name, study, about),
            event=event.kind,
            study_id=study.id,
            priority=study.priority,
        )
        for target in destinations.destinations
        if isinstance(target, Hl7Destination | WebhookDestination) and target.unread
    ]
    return _add(session, rows, None)


def _rows(
    session: Session,
    target: Destination,
    study: Study,
    objects: Iterable[ResultObject],
    level: int,
    about: str,
) -> Iterator[Delivery]:
    level = min(level, study.priority, key=urgency)  # what moved the study up once still does
    if isinstance(target, DicomDestination):
        for result in objects:
            if target.takes(result.kind, result.audience):
                yield _row(target, study, level, result.sop_instance_uid, result)
    elif level in target.levels or _was_told(session, target, study):
        yield _row(target, study, level, message_key(target.name, study, about), None)


def _was_told(session: Session, target: Destination, study: Study) -> bool:
    """Say whether a destination has, or is being sent, a result of a study: it hears what follows.

    "None found" would stand there where the study then turned out not analysed.
    """
    told = select(Delivery.id).where(
        Delivery.study_id == study.id,
        Delivery.destination == target.name,
        Delivery.object_id.is_(None),
        Delivery.event == RESULT,
        Delivery.state.in_((DeliveryState.DELIVERED, DeliveryState.SENDING)),
    )
    return session.scalar(told.limit(1)) is not None


def message_key(destination: str, study: Study, about: str) -> str:
    """Name a message: the same for every try, another for every result; fits MSH-10."""
    parts = (destination, study.study_instance_uid, str(study.received_at.timestamp()), about)
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return base64.b32encode(digest).decode()[:CONTROL_ID]


def _row(
    target: Destination, study: Study, level: int, key: str, result: ResultObject | None
) -> Delivery:
    return Delivery(
        destination=target.name,
        key=key,
        event=RESULT,
        study_id=study.id,
        object=result,
        priority=level,
    )


def _add(session: Session, rows: Sequence[Delivery], job_id: int | None) -> int:
    """Add rows of one study; a canary goes nowhere, whatever it ended with."""
    if not rows or is_canary(session, rows[0].study_id):
        return 0
    now, added = read_clock(session), 0
    for row in rows:
        row.created_at = row.due_at = now
        row.job_id = job_id
        if row.object is None and row.event == RESULT:
            _supersede(session, row)
        added += _add_once(session, row)
    return added


def has_ended(study: Study) -> bool:
    """Say that nothing of a study is to come and no other series is left to try."""
    return study.state == StudyState.DONE and study.second_choice_at is None


def tells_of_suspicion() -> ColumnElement[bool]:
    """Say that a row is owed for a job that suspected something, whatever came after it."""
    # By a scalar, which is looked up: PostgreSQL would hash the whole table for EXISTS.
    outcome = select(Job.outcome).where(Job.id == Delivery.job_id).scalar_subquery()
    return func.coalesce(outcome.in_(SUSPICIOUS), false())


def _add_once(session: Session, row: Delivery) -> bool:
    """Add a row unless the destination is owed the very same thing already."""
    same = select(Delivery.id).where(
        Delivery.destination == row.destination, Delivery.key == row.key
    )
    if session.scalar(same) is not None:
        return False
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another worker was first with the same content
        return False
    return True


def _supersede(session: Session, row: Delivery) -> None:
    """Drop results of the study that were not sent: the new one says it all.

    What moves a study up is said at once, and stays beside one that waits for the study's end.
    """
    waits = row.job_id is None or not _is_of_suspicion(session, row.job_id)
    older = update(Delivery).where(
        Delivery.destination == row.destination,
        Delivery.study_id == row.study_id,
        Delivery.object_id.is_(None),
        Delivery.event == RESULT,  # that nobody has seen it is said by nothing else
        Delivery.key != row.key,
        Delivery.state == DeliveryState.WAITING,
    )
    if waits:
        older = older.where(not_(tells_of_suspicion()))
    session.execute(older.values(state=DeliveryState.SUPERSEDED))


def _is_of_suspicion(session: Session, job_id: int) -> bool:
    return session.get_one(Job, job_id).outcome in SUSPICIOUS
