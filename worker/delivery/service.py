"""The delivery service: a thread for each destination, so that a dead one holds up nobody else.

The database is the queue of record and its rows are looked for by time, so nothing waits for Redis.

What writes and sends is imported where it is first used: this runs in the parent of a worker's
pool, and DICOM, HL7 and HTTP take 50 MB there that a site without destinations does not need.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from schema.database import Database, read_clock
from schema.errors import TransientError
from schema.settings import Settings
from worker.delivery import breaker
from worker.delivery.claims import Claimed, Ledger, claim
from worker.delivery.destinations import (
    Destination,
    Destinations,
    DicomDestination,
    load_destinations,
)
from worker.delivery.events import queue_events
from worker.delivery.statuses import DestinationDownError
from worker.delivery.unstated import unstated

if TYPE_CHECKING:
    from worker.delivery.listener import CommitmentListener

log = structlog.get_logger()

POLL_S: Final = 0.5
STOP_S: Final = 30.0


class Sender(Protocol):
    """What sends to one destination."""

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> int:
        """Send claimed rows of one study and note what became of each; return how many."""

    def confirm(self) -> int:
        """Have confirmed what was sent; return how much was asked about."""


def make_sender(target: Destination, database: Database, settings: Settings) -> Sender:
    """Choose what sends to a destination."""
    if isinstance(target, DicomDestination):
        from worker.delivery.pacs import PacsSender

        return PacsSender(target, database, settings.storage, settings.ae_title.strip())
    from worker.delivery.messaging import MessageSender

    return MessageSender(target, database)


class Courier:
    """Empties the outbox of one destination."""

    def __init__(self, target: Destination, database: Database, sender: Sender) -> None:
        self.target = target
        self._database = database
        self._sender = sender
        self._ledger = Ledger(database, target)

    def deliver_due(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Send all that is due, most urgent study first; return how many rows were tried."""
        tried = 0
        while not stopped():
            rows = claim(self._database, self.target)
            send = partial(self._sender.send, rows, self._ledger)
            if not self._attempt(send if rows else self._sender.confirm):
                return tried
            tried += len(rows)
        return tried

    def _attempt(self, action: Callable[[], int]) -> bool:
        """Do something with the destination; keep the breaker's books. False: no more for now."""
        try:
            count = action()
        except DestinationDownError as error:
            breaker.note_failure(self._database, self.target, error)
            return False
        if count:  # else nobody was called, who may rest
            breaker.note_success(self._database, self.target)
        return count > 0


class DeliveryService:
    """All couriers of this host, the listener for commitment, and what states the unanalysed."""

    def __init__(self, settings: Settings, database: Database, places: Destinations) -> None:
        self._stopped = threading.Event()
        self._places = places
        self._database = database
        self._settings = settings
        self._listener = self._make_listener()
        work: list[tuple[str, Callable[[], int]]] = [
            ("unanalysed", self._state_unanalysed),
            ("events", partial(queue_events, database, places)),
        ]
        for target in places.destinations:
            courier = Courier(target, database, make_sender(target, database, settings))
            work.append((target.name, partial(courier.deliver_due, self.is_stopping)))
        self._threads = [
            threading.Thread(target=self._run, args=(name, step), name=name, daemon=True)
            for name, step in work
        ]

    def start(self) -> None:
        """Begin; everything runs in threads."""
        if self._listener is not None:
            self._listener.start()
        self._serve_metrics()
        for thread in self._threads:
            thread.start()
        log.info(
            "delivery runs",
            destinations=[destination.name for destination in self._places.destinations],
        )

    def is_stopping(self) -> bool:
        """Say whether it was told to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End after what is being sent; what was not sent stays in the outbox."""
        self._stopped.set()
        if self._listener is not None:
            self._listener.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)

    def _serve_metrics(self) -> None:
        if self._places.metrics_port is None:
            return
        if self._settings.worker_metrics_port is not None:
            why = "the worker's own page, TRIAGE_WORKER_METRICS_PORT, shows the same"
            log.info("metrics_port of TRIAGE_DESTINATIONS is passed over", reason=why)
            return
        from worker.delivery.metrics import serve_metrics

        serve_metrics(self._places, self._database)

    def _make_listener(self) -> "CommitmentListener | None":
        if self._places.listen_port is None:
            return None
        from worker.delivery.listener import CommitmentListener

        return CommitmentListener(self._places, self._settings, self._database)

    def _state_unanalysed(self) -> int:
        with self._database.reading() as session:
            if not unstated(session, read_clock(session)):
                return 0
        from worker.delivery.unanalysed import Unanalysed

        return Unanalysed(self._database, self._settings.storage, self._places).state_due()

    def _run(self, name: str, step: Callable[[], int]) -> None:
        """Repeat a step until stopped; whatever happens in it, the next one is tried."""
        while not self._stopped.wait(POLL_S):
            try:
                step()
            except TransientError as error:
                log.warning("delivery waits", destination=name, reason=str(error))
            except Exception:  # the edge: a thread that ends would be silence
                log.exception("delivery failed", destination=name)


def make_service(settings: Settings, database: Database) -> DeliveryService:
    """Make the service of the settings.

    Raises
    ------
    SettingsError
        The file of destinations is wrong.
    """
    return DeliveryService(settings, database, load_destinations(settings.destinations))
