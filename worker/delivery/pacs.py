"""Deliver objects to an archive: store what is due, then have it confirmed."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog
from pydicom.dataset import Dataset
from pynetdicom.association import Association

from schema.database import Database
from schema.errors import SettingsError, StorageAwayError, TransientError, TriageError
from schema.states import DeliveryState
from schema.storage import why_away
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
from worker.delivery.statuses import ConnectionLostError, DestinationDownError, RefusedError
from worker.uids import stable_uid

Named = tuple[Unconfirmed, Reference]
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

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> int:
        """Send rows of one study in one association; return for how many it was opened.

        Raises
        ------
        DestinationDownError
            The archive fails as a whole; what was not sent is given back.
        """
        waiting = list(rows)
        try:
            self._require_storage()
            self._associate(waiting, ledger)
        except StorageAwayError as error:
            ledger.release(waiting, error, self._target.first_pause_s)
            return 0
        return len(rows)

    def _associate(self, waiting: list[Claimed], ledger: Ledger) -> None:
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
            self._archive.store(assoc, self._read(row.path or "", row.sha256))
        except ConnectionLostError as error:
            ledger.failed(row, error)
            raise
        except (DestinationDownError, StorageAwayError):
            raise
        except TriageError as error:
            ledger.failed(row, error)
        else:
            none = self._target.confirm == "none"
            ledger.done(row, DeliveryState.DELIVERED if none else DeliveryState.SENT)

    def _read(self, path: str, sha256: str) -> Dataset:
        try:
            return read_object(self._storage / path, sha256)
        except TransientError:
            self._require_storage()
            raise

    def _require_storage(self) -> None:
        if (reason := why_away(self._storage)) is not None:
            raise StorageAwayError(f"storage {self._storage}: {reason}")

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
        references = list(self._references(asked))
        if references:
            ask = self._find if self._target.confirm == "find" else self._request
            try:
                ask(references)
            except RefusedError as error:  # it stays "sent": nobody confirmed it
                log.warning("not confirmed", destination=self._target.name, reason=str(error))
        return len(references)

    def _references(self, asked: Sequence[Unconfirmed]) -> Iterator[Named]:
        """Name what can be named; one that cannot is its own fault alone."""
        for delivery in asked:
            try:
                yield delivery, reference_of(self._read(delivery.path, delivery.sha256))
            except TriageError as error:
                confirming.note_unreadable(self._database, delivery, error)

    def _find(self, asked: Sequence[Named]) -> None:
        with self._archive.associated([StudyRootQueryRetrieveInformationModelFind]) as assoc:
            for delivery, reference in asked:
                if self._archive.has(assoc, reference):
                    confirming.note_committed(self._database, self._target.name, [delivery.key])
                else:
                    confirming.note_missing(self._database, delivery)

    def _request(self, asked: Sequence[Named]) -> None:
        """Ask for commitment; the report may come on this association or on one of its own."""
        deliveries, references = [*zip(*asked, strict=True)]
        keys = [delivery.key for delivery in deliveries]
        transaction = stable_uid("commitment", self._target.name, *keys, confirming.nonce())
        confirming.note_transaction(self._database, deliveries, transaction)
        heard = confirming.Report(self._database, (self._target,))
        handlers = [(evt.EVT_N_EVENT_REPORT, heard.handle)]
        with self._archive.associated([StorageCommitmentPushModel], handlers) as assoc:
            self._archive.request_commitment(assoc, transaction, references)
            heard.arrived.wait(REPORT_WAIT_S)
