"""The delivery service: a thread for each destination, so that a dead one holds up nobody else.

The database is the queue of record and its rows are looked for by time, so nothing waits for Redis.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import structlog

from schema.database import Database
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
from worker.delivery.listener import CommitmentListener
from worker.delivery.messaging import MessageSender
from worker.delivery.metrics import serve_metrics
from worker.delivery.pacs import PacsSender
from worker.delivery.statuses import DestinationDownError
from worker.delivery.unanalysed import Unanalysed

log = structlog.get_logger()

POLL_S: Final = 0.5
STOP_S: Final = 30.0


class Sender(Protocol):
    """What sends to one destination."""

    def send(self, rows: Sequence[Claimed], ledger: Ledger) -> None:
        """Send claimed rows of one study and note what became of each."""

    def confirm(self) -> int:
        """Have confirmed what was sent; return how much was asked about."""


def make_sender(target: Destination, database: Database, settings: Settings) -> Sender:
    """Choose what sends to a destination."""
    if isinstance(target, DicomDestination):
        return PacsSender(target, database, settings.storage, settings.ae_title.strip())
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
            if not rows and not self._confirm():
                return tried
            if rows and not self._attempt(partial(self._sender.send, rows, self._ledger)):
                return tried
            tried += len(rows)
        return tried

    def _confirm(self) -> int:
        asked = 0

        def confirm() -> None:
            nonlocal asked
            asked = self._sender.confirm()

        return asked if self._attempt(confirm) else 0

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Do something with the destination; keep the breaker's books."""
        try:
            action()
        except DestinationDownError as error:
            breaker.note_failure(self._database, self.target, error)
            return False
        breaker.note_success(self._database, self.target)
        return True


class DeliveryService:
    """All couriers of this host, the listener for commitment, and what states the unanalysed."""

    def __init__(self, settings: Settings, database: Database, places: Destinations) -> None:
        self._stopped = threading.Event()
        self._places = places
        self._database = database
        self._listener = CommitmentListener(places, settings, database)
        unanalysed = Unanalysed(database, settings.storage, places)
        work: list[tuple[str, Callable[[], int]]] = [
            ("unanalysed", unanalysed.state_due),
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
        self._listener.start()
        serve_metrics(self._places, self._database)
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
        self._listener.stop()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)

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
