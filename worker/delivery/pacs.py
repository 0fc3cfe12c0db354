"""Deliver objects to an archive: store what is due, then have it confirmed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from pynetdicom.association import Association

from schema.database import Database
from schema.errors import SettingsError, TriageError
from schema.states import DeliveryState
from worker.delivery import confirming
from worker.delivery.archive import (
    STORED,
    Archive,
    Reference,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    evt,
    read_object,
    reference_of,
    stored_classes,
)
from worker.delivery.claims import Claimed, Ledger
from worker.delivery.confirming import Unconfirmed
from worker.delivery.destinations import DicomDestination
from worker.delivery.statuses import DestinationDownError, RefusedError
from worker.uids import stable_uid

REPORT_WAIT_S: Final = 2.0  # some archives report on the same association, at once

log = structlog.get_logger()


class PacsSender:
    """Sends to one archive."""

    def __init__(
        self, target: DicomDestination, database: Database, storage: Path, ae_title: str
    ) -> None:
        self._target = target
        self._database = database
        self._storage = storage
        self._archive = Archive(target, ae_title)

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> None:
        """Send rows of one study in one association.

        Raises
        ------
        DestinationDownError
            The archive fails as a whole; what was not sent is given back.
        """
        waiting = list(rows)
        # All of them: what is owed may be older than today's settings.
        classes = {*STORED.values(), *stored_classes(self._target).values()}
        try:
            with self._archive.associated(sorted(classes)) as assoc:
                while waiting:
                    self._send(assoc, waiting[0], ledger)
                    waiting.pop(0)
        except (DestinationDownError, SettingsError) as error:
            ledger.release(waiting, error)
            raise DestinationDownError(str(error)) from error
        except RefusedError as error:  # of the association: no object can be sent in it
            for row in waiting:
                ledger.failed(row, error)

    def _send(self, assoc: Association, row: Claimed, ledger: Ledger) -> None:
        if not ledger.extend(row):
            return
        try:
            self._archive.store(assoc, read_object(self._storage / (row.path or "")))
        except DestinationDownError:
            raise
        except TriageError as error:
            ledger.failed(row, error)
        else:
            none = self._target.confirm == "none"
            ledger.done(row, DeliveryState.DELIVERED if none else DeliveryState.SENT)

    def confirm(self) -> int:
        """Have confirmed what was sent; return how many objects were asked about.

        Raises
        ------
        DestinationDownError
            The archive does not answer.
        """
        if self._target.confirm == "none":
            return 0
        asked = confirming.take_unconfirmed(self._database, self._target)
        if asked:
            ask = self._find if self._target.confirm == "find" else self._request
            try:
                ask(asked)
            except RefusedError as error:  # it stays "sent": nobody confirmed it
                log.warning("not confirmed", destination=self._target.name, reason=str(error))
        return len(asked)

    def _references(self, asked: Sequence[Unconfirmed]) -> list[tuple[Unconfirmed, Reference]]:
        return [
            (delivery, reference_of(read_object(self._storage / delivery.path)))
            for delivery in asked
        ]

    def _find(self, asked: Sequence[Unconfirmed]) -> None:
        with self._archive.associated([StudyRootQueryRetrieveInformationModelFind]) as assoc:
            for delivery, reference in self._references(asked):
                if self._archive.has(assoc, reference):
                    confirming.note_committed(self._database, self._target.name, [delivery.key])
                else:
                    confirming.note_missing(self._database, delivery)

    def _request(self, asked: Sequence[Unconfirmed]) -> None:
        """Ask for commitment; the report may come on this association or on one of its own."""
        keys = [delivery.key for delivery in asked]
        transaction = stable_uid("commitment", self._target.name, *keys, confirming.nonce())
        confirming.note_transaction(self._database, asked, transaction)
        heard = confirming.Report(self._database)
        handlers = [(evt.EVT_N_EVENT_REPORT, heard.handle)]
        references = [reference for _, reference in self._references(asked)]
        with self._archive.associated([StorageCommitmentPushModel], handlers) as assoc:
            self._archive.request_commitment(assoc, transaction, references)
            heard.arrived.wait(REPORT_WAIT_S)
