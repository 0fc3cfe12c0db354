"""Claiming rows of the outbox: a lease and a fencing token, as the triage worker claims jobs."""

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

import structlog
from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Select,
    SQLColumnExpression,
    and_,
    case,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from schema.database import Database, read_clock
from schema.errors import PermanentError, StorageAwayError, TriageError
from schema.moments import OTHER_CLOCKS, has_come
from schema.states import DeliveryState, StudyState, move
from schema.tables import Delivery, Destination, Study
from worker.delivery.counts import DELIVERY_SECONDS
from worker.delivery.destinations import Destination as Target
from worker.delivery.destinations import DicomDestination
from worker.delivery.needless import still_owed
from worker.delivery.outbox import RESULT, tells_of_suspicion
from worker.delivery.statuses import ConnectionLostError

log = structlog.get_logger()

LEASE: Final = timedelta(seconds=120)  # above every timeout of one object
LONGEST: Final = timedelta(minutes=10)  # until an archive that has not answered is asked again
BEGINS_ANEW: Final = timedelta(seconds=10)  # by so much a message may seem older than it is
BATCH: Final = 32  # objects of one study that share an association


@dataclass(frozen=True)
class Claimed:
    """A row that is ours while its token is the newest."""

    id: int
    token: int
    key: str
    attempts: int
    study_id: int
    path: str | None  # of the object, in the storage
    sha256: str  # of its file
    kind: str | None
    job_id: int | None
    study_instance_uid: str
    created_at: datetime


def claim(database: Database, target: Target, limit: int = BATCH) -> tuple[Claimed, ...]:
    """Claim what is due for the most urgent study of a destination; nothing while it rests."""
    with database.transaction() as session:
        now = read_clock(session)
        if is_resting(session, target, now):
            return ()
        _begin_later(session, target, now)
        _take_for_granted(session, target)
        _give_up(session, target, now)
        due = _due(target, now).order_by(*_order(session, target))
        while (first := session.scalars(due.limit(1)).first()) is not None:
            same = due.where(Delivery.study_id == first.study_id).limit(limit)
            if owed := still_owed(session, session.scalars(same).all()):
                return tuple(_take(row, now) for row in owed)
        return ()


def _begin_later(session: Session, target: Target, now: datetime) -> None:
    """Let a message's time begin when it may go: until then its study is late, not the destination.

    Nobody here notices the end of a study, so it begins anew over and over until then.
    """
    waits = select(Delivery).where(
        Delivery.destination == target.name,
        Delivery.state == DeliveryState.WAITING,
        Delivery.created_at < now - BEGINS_ANEW,
        not_(may_go()),
    )
    for row in session.scalars(waits.with_for_update(skip_locked=True)):
        row.created_at = now


def is_resting(session: Session, target: Target, now: datetime) -> bool:
    """Say whether nothing is to be sent now: an operator holds it, or it failed a moment ago."""
    row = session.get(Destination, target.name)
    if row is None or row.held or row.open_until is None:
        return row is not None and row.held
    return now < row.open_until <= now + timedelta(seconds=target.probe_s) + OTHER_CLOCKS


def urgency() -> ColumnElement[int]:
    """Rank rows: 1 to 3 first; 4 and 0 keep the order of arrival."""
    return case((Delivery.priority.in_((1, 2, 3)), Delivery.priority), else_=4)


def _order(session: Session, target: Target) -> Iterator[SQLColumnExpression[Any]]:
    """Put the most urgent first; where the last call failed, before that what was tried least.

    Else the few that a destination hangs up over would keep it from all the others.
    """
    if _is_failing(session, target):
        yield Delivery.attempts
    yield from (urgency(), Delivery.created_at, Delivery.id)


def _is_failing(session: Session, target: Target) -> bool:
    place = session.get(Destination, target.name)
    return place is not None and place.failures > 0


def _due(target: Target, now: datetime) -> Select[Delivery]:
    longest = timedelta(seconds=max(target.longest_pause_s, target.first_pause_s))
    waits = and_(Delivery.state == DeliveryState.WAITING, has_come(Delivery.due_at, now, longest))
    lapsed = and_(
        Delivery.state == DeliveryState.SENDING, has_come(Delivery.lease_until, now, LEASE)
    )
    return (
        select(Delivery)
        .where(
            Delivery.destination == target.name,
            Delivery.state.in_((DeliveryState.WAITING, DeliveryState.SENDING)),
            or_(waits, lapsed),
            Delivery.study_id.not_in(_spoken_of(target, now)),
            may_go(),
        )
        .with_for_update(skip_locked=True)  # SQLite writes one at a time anyway
    )


def _spoken_of(target: Target, now: datetime) -> Select[int]:
    """Give the studies of which a message is being sent: the next might overtake it.

    What was read first would then stand last, and an order could sink. Objects have no such order.
    """
    other = aliased(Delivery)
    return select(other.study_id).where(
        other.destination == target.name,
        other.state == DeliveryState.SENDING,
        other.object_id.is_(None),
        not_(has_come(other.lease_until, now, LEASE)),
    )


def may_go() -> ColumnElement[bool]:
    """Say that a row is an object, a suspicion, an event, or of a study that has ended.

    While another series is to come, "none found" and "not analysed" may both turn out wrong.
    """
    ended = and_(Study.state == StudyState.DONE, Study.second_choice_at.is_(None))
    is_message = and_(Delivery.object_id.is_(None), Delivery.event == RESULT)
    return or_(not_(is_message), tells_of_suspicion(), Delivery.study.has(ended))


def _take(row: Delivery, now: datetime) -> Claimed:
    if row.state is DeliveryState.WAITING:
        row.state = move(row.state, DeliveryState.SENDING)
    row.token += 1
    row.attempts += 1
    row.owner, row.lease_until = f"{socket.gethostname()}:{os.getpid()}", now + LEASE
    return _claimed(row)


def _claimed(row: Delivery) -> Claimed:
    written = row.object
    return Claimed(
        row.id,
        row.token,
        row.key,
        row.attempts,
        row.study_id,
        written.path if written else None,
        written.sha256 if written else "",
        written.kind if written else None,
        row.job_id,
        row.study.study_instance_uid,
        row.created_at,
    )


def _keys(row: Claimed) -> dict[str, object]:
    """Name a delivery in the log, and what it is about."""
    return {"delivery": row.id, "study": row.study_instance_uid, "job": row.job_id}


def _take_for_granted(session: Session, target: Target) -> None:
    """End what was accepted when it was to be confirmed, where nothing is asked any more."""
    if isinstance(target, DicomDestination) and target.confirm == "none":
        accepted = select(Delivery).where(
            Delivery.destination == target.name, Delivery.state == DeliveryState.SENT
        )
        for row in session.scalars(accepted):
            row.state, row.last_error = move(row.state, DeliveryState.DELIVERED), None


def _give_up(session: Session, target: Target, now: datetime) -> None:
    """End what a destination did not take, or did not confirm, in all the time it had.

    What was held, or lay while nobody delivered, is tried once more before.
    """
    too_old = now - timedelta(hours=target.give_up_h)
    place = session.get(Destination, target.name)
    if place is not None and 0 < place.failures * target.probe_s < target.give_up_h * 3600:
        return  # it fails as a whole, and not for long: perhaps it starts after an outage, as we do
    rows = session.scalars(
        select(Delivery).where(
            Delivery.destination == target.name,
            Delivery.state.in_((DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.SENT)),
            or_(*_had_their_time(target, now, too_old)),
        )
    )
    for row in rows:
        row.state = move(row.state, DeliveryState.FAILED)
        row.last_error = f"given up after {target.give_up_h:g} hours: {row.last_error or 'no try'}"
        log.error("delivery given up", **_keys(_claimed(row)), destination=target.name)


def _had_their_time(
    target: Target, now: datetime, too_old: datetime
) -> Iterator[ColumnElement[bool]]:
    """Say which rows are too old and were tried, or asked about, since anybody last delivered."""
    pause_s = max(target.longest_pause_s, target.first_pause_s, target.probe_s)
    confirm_s = target.confirm_s if isinstance(target, DicomDestination) else 0
    # An archive that does not find what it accepted is sent it again after two rounds of questions.
    lately = now - max(timedelta(seconds=max(pause_s, confirm_s)), 2 * LONGEST) - LEASE
    tried, asked = Delivery.lease_until, Delivery.due_at
    is_old = and_(Delivery.created_at < too_old, tried > lately)
    yield and_(Delivery.state == DeliveryState.WAITING, is_old)
    yield and_(Delivery.state == DeliveryState.SENDING, is_old, tried <= now)
    accepted_long_ago = Delivery.sent_at < too_old
    yield and_(
        Delivery.state == DeliveryState.SENT, accepted_long_ago, lately < asked, asked <= now
    )


class Ledger:
    """Notes what became of claimed rows; a row that was lost to another worker stays as it is."""

    def __init__(self, database: Database, target: Target) -> None:
        self._database = database
        self._target = target

    def extend(self, row: Claimed) -> bool:
        """Begin with a row; False if somebody else has it now."""
        with self._database.transaction() as session:
            until = read_clock(session) + LEASE
            return self._write(session, row, lease_until=until)

    def done(self, row: Claimed, state: DeliveryState) -> None:
        """Note that the destination accepted it."""
        with self._database.transaction() as session:
            now = read_clock(session)
            ours = self._write(session, row, state=state, sent_at=now, due_at=now, last_error=None)
        if ours:
            took_s = max((now - row.created_at).total_seconds(), 0)
            DELIVERY_SECONDS.labels(self._target.name).observe(took_s)
        log.info("delivered", **_keys(row), destination=self._target.name, state=state)

    def failed(self, row: Claimed, error: TriageError) -> None:
        """Note a failure of this row alone: for good, or until later."""
        is_final = isinstance(error, PermanentError)
        state = DeliveryState.FAILED if is_final else DeliveryState.WAITING
        with self._database.transaction() as session:
            pause_s = pause(self._target, row.attempts, self._longest_pause_s(session, error))
            due_at = read_clock(session) + timedelta(seconds=pause_s)
            self._write(session, row, state=state, due_at=due_at, last_error=str(error))
        log.warning(
            "not delivered",
            **_keys(row),
            destination=self._target.name,
            is_final=is_final,
            reason=str(error),
        )

    def _longest_pause_s(self, session: Session, error: TriageError) -> float:
        """Give the most that a row waits; where others are dropped too, no more than they rest."""
        longest_s = self._target.longest_pause_s
        if isinstance(error, ConnectionLostError) and _is_failing(session, self._target):
            return min(longest_s, self._target.probe_s)
        return longest_s

    def release(self, rows: Sequence[Claimed], error: TriageError, pause_s: float = 0) -> None:
        """Give back what something else kept from being sent, as if it had not been tried.

        Nor is it given up for its age while the storage is away: nobody could try it.
        """
        untried = {"lease_until": None} if isinstance(error, StorageAwayError) else {}
        with self._database.transaction() as session:
            due_at = read_clock(session) + timedelta(seconds=pause_s)
            for row in rows:
                values = {"state": DeliveryState.WAITING, "attempts": row.attempts - 1}
                self._write(session, row, due_at=due_at, last_error=str(error), **values, **untried)

    def _write(self, session: Session, row: Claimed, **values: Any) -> bool:
        ours = and_(
            Delivery.id == row.id,
            Delivery.token == row.token,
            Delivery.state == DeliveryState.SENDING,
        )
        done = session.execute(update(Delivery).where(ours).values(**values))
        return cast(CursorResult[Any], done).rowcount > 0


def pause(target: Target, failures: int, longest_s: float) -> float:
    """Give the seconds until the next try: doubled with each failure."""
    return float(min(target.first_pause_s * 2 ** min(max(failures - 1, 0), 16), longest_s))
