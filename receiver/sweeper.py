"""The sweeper: it takes in what arrived, decides what is whole, and rings."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from receiver.access.certificate import CertificateWatch
from receiver.catalogue.intake import Catalogue
from receiver.catalogue.rebuild import Rebuilder
from receiver.catalogue.retention import Retention
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.planner import Planner
from receiver.inbox import Inbox
from schema.database import Database
from schema.errors import TransientError
from schema.owners import release_orphans
from schema.settings import Settings
from schema.studies import heal

log = structlog.get_logger()

CATALOGUE_PAUSE_S: Final = 0.25  # a row follows its file within a second, however busy we are

CATALOGUE: Final = "catalogue"


class Sweeper:
    """Runs the receiver's rounds until it is told to stop; a failed step is tried in the next."""

    def __init__(self, settings: Settings, database: Database, inbox: Inbox) -> None:
        self._pause_s = settings.sweep_s
        self._catalogue = Catalogue(database, settings.storage)
        rebuilder = Rebuilder(self._catalogue, settings.storage)
        planner = Planner.of(settings, database)
        dispatcher = Dispatcher(settings, database)
        self._inbox = inbox
        self._steps: dict[str, Callable[[], int]] = {
            CATALOGUE: self._catalogue.take_in,
            "rebuild": rebuilder.look_further,
            "plan": planner.plan,
            "fall back": planner.fall_back,
            "heal": lambda: heal(database),
            "orphans": lambda: release_orphans(database),
            "ring": dispatcher.dispatch_due,
            "certificate": CertificateWatch(settings).look_now_and_then,
            "retention": Retention(settings, database).sweep_now_and_then,
        }
        self._failing: set[str] = set()

    def recover(self) -> None:
        """Close what an earlier run left open, before the port opens."""
        self._inbox.close_abandoned()
        self._catalogue.close_all_associations()

    def run(self, stopped: threading.Event) -> None:
        """Make rounds until `stopped` is set; between them, take in what arrives."""
        round_at = time.monotonic() + self._pause_s
        while not stopped.wait(min(self._pause_s, CATALOGUE_PAUSE_S)):
            if time.monotonic() < round_at:
                self._do(CATALOGUE)
            else:
                self.make_round()
                round_at = time.monotonic() + self._pause_s

    def make_round(self) -> None:
        """Do each step once; one that fails holds up none of the others."""
        for name in self._steps:
            self._do(name)

    def _do(self, name: str) -> None:
        try:
            self._steps[name]()
            self._report_recovery(name)
        except Exception as error:  # noqa: BLE001 - the edge: the loop must outlive anything
            self._report_failure(name, error)

    def _report_failure(self, name: str, error: Exception) -> None:
        """Log the first failure of a kind, not one a second all night."""
        if name not in self._failing:
            self._failing.add(name)
            details = None if isinstance(error, TransientError) else error  # a bug shows where
            log.error("step fails, will try again", step=name, reason=str(error), exc_info=details)

    def _report_recovery(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            log.info("step works again", step=name)
