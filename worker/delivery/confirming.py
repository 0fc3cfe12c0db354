"""Whether an archive keeps what it accepted; only then is an object shown as in the PACS."""

import secrets
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from pydicom.dataset import Dataset
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.dicom import DimseStatus
from schema.errors import PermanentError, TriageError
from schema.moments import has_come
from schema.states import DeliveryState, move
from schema.tables import Delivery
from worker.delivery.claims import LONGEST, is_resting, urgency
from worker.delivery.destinations import DicomDestination

log = structlog.get_logger()

AT_ONCE: Final = 64
MISSING_AFTER: Final = timedelta(minutes=10)  # an archive may index what it accepted later
SENT_AGAIN_AFTER: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Unconfirmed:
    """An object that an archive accepted."""

    id: int
    key: str
    path: str
    sha256: str


def take_unconfirmed(database: Database, target: DicomDestination) -> tuple[Unconfirmed, ...]:
    """Take what is to be asked about; it is due again after a while, whoever asked."""
    with database.transaction() as session:
        now = read_clock(session)
        if is_resting(session, target, now):
            return ()
        due = (
            select(Delivery)
            .where(
                Delivery.destination == target.name,
                Delivery.state == DeliveryState.SENT,
                has_come(Delivery.due_at, now, max(_confirm(target), LONGEST)),
            )
            .order_by(urgency(), Delivery.id)
            .limit(AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        rows = list(session.scalars(due))
        for row in rows:
            waited = now - (row.sent_at or now)
            row.due_at = now + max(_confirm(target), min(waited, LONGEST))
        return tuple(
            Unconfirmed(row.id, row.key, row.object.path, row.object.sha256)
            for row in rows
            if row.object is not None
        )


def _confirm(target: DicomDestination) -> timedelta:
    return timedelta(seconds=target.confirm_s)


def nonce() -> str:
    """Tell one request from the next about the same objects."""
    return secrets.token_hex(8)


def note_transaction(database: Database, asked: Sequence[Unconfirmed], uid: str) -> None:
    """Remember under which Transaction UID objects were asked about."""
    ids = [delivery.id for delivery in asked]
    with database.transaction() as session:
        session.execute(update(Delivery).where(Delivery.id.in_(ids)).values(transaction_uid=uid))


def note_committed(database: Database, destination: str, keys: Collection[str]) -> None:
    """Note that an archive keeps objects."""
    with database.transaction() as session:
        now = read_clock(session)
        ours = (
            Delivery.destination == destination,
            Delivery.key.in_(keys),
            Delivery.state == DeliveryState.SENT,
        )
        values = {"state": DeliveryState.COMMITTED, "committed_at": now, "last_error": None}
        session.execute(update(Delivery).where(*ours).values(**values))
    log.info("in the archive", destination=destination, objects=len(keys))


def note_missing(database: Database, delivery: Unconfirmed) -> None:
    """Send an object again that an archive accepted and after a while does not know."""
    with database.transaction() as session:
        row = session.get_one(Delivery, delivery.id)
        if row.state is not DeliveryState.SENT or row.sent_at is None:
            return
        now = read_clock(session)
        row.last_error = "accepted, but the archive does not find it"
        if now - row.sent_at > MISSING_AFTER:
            row.state, row.due_at = move(row.state, DeliveryState.WAITING), now


def note_unreadable(database: Database, delivery: Unconfirmed, error: TriageError) -> None:
    """Note why an archive cannot be asked about an object: its file is away or damaged."""
    with database.transaction() as session:
        row = session.get_one(Delivery, delivery.id)
        if row.state is DeliveryState.SENT:
            row.last_error = f"accepted, but not confirmed: {error}"
            if isinstance(error, PermanentError):
                row.state = move(row.state, DeliveryState.FAILED)
    log.warning("not confirmed", delivery=delivery.id, reason=str(error))


class Report:
    """Takes N-EVENT-REPORTs of storage commitment (PS3.4 J.3.3) into the database.

    An archive may take longer than we wait before we ask again, and then answers a Transaction UID
    that is not the last: so what it reports on is found by the archive and the objects. Which of
    several that share an AE title it is, the Transaction UID alone tells.
    """

    def __init__(self, database: Database, archives: Collection[DicomDestination]) -> None:
        self._database = database
        self._archives = archives
        self.arrived = threading.Event()

    def handle(self, event: Any) -> tuple[int, Dataset | None]:
        """Answer a report; one that the database can't take is asked for again."""
        try:
            self.take(event.assoc.remote["ae_title"], event.event_information)
        except TriageError as error:
            log.error("commitment report lost", reason=str(error))
            return DimseStatus.PROCESSING_FAILURE, None
        self.arrived.set()
        return DimseStatus.SUCCESS, None

    def take(self, ae_title: str, information: Dataset) -> None:
        """Note what an archive of this title keeps and what it doesn't."""
        committed = _uids(information.get("ReferencedSOPSequence"))
        failed = _uids(information.get("FailedSOPSequence"))
        with self._database.transaction() as session:
            now = read_clock(session)
            asked = select(Delivery).where(
                Delivery.destination.in_(self._reporting(session, ae_title, information)),
                Delivery.state == DeliveryState.SENT,
                Delivery.transaction_uid.is_not(None),
            )
            for row in session.scalars(asked):
                if row.key in committed:
                    row.state, row.committed_at = move(row.state, DeliveryState.COMMITTED), now
                    row.last_error = None
                elif row.key in failed:
                    row.state = move(row.state, DeliveryState.WAITING)
                    row.due_at = now + SENT_AGAIN_AFTER
                    row.last_error = "the archive does not commit to it; it is sent again"
        log.info("commitment report", committed=len(committed), failed=len(failed))

    def _reporting(self, session: Session, ae_title: str, information: Dataset) -> Sequence[str]:
        """Name the destination that reports; none where several bear its title and may be meant."""
        bearers = [archive for archive in self._archives if archive.ae_title == ae_title]
        asked = select(Delivery.destination).where(
            Delivery.destination.in_([archive.name for archive in bearers]),
            Delivery.transaction_uid == str(information.get("TransactionUID", "")),
        )
        if answered := session.scalars(asked.distinct()).all():
            return answered
        committing = [archive.name for archive in bearers if archive.confirm == "commitment"]
        return committing if len(committing) == 1 else []


def _uids(items: Sequence[Dataset] | None) -> set[str]:
    return {str(item.ReferencedSOPInstanceUID) for item in items or ()}
