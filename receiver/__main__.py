"""`python -m receiver`: receive CT studies over DICOM until stopped."""

import signal
import threading

import structlog
import typer

from receiver.acceptors import AcceptorPool
from receiver.inbox import Inbox
from receiver.keeper import Keeper
from receiver.storage import MEGABYTE
from schema.broker import ensure_broker
from schema.database import wait_for_database
from schema.errors import TriageError
from schema.log import set_up_log
from schema.settings import Settings, settings_or_exit, stop

log = structlog.get_logger()

DATABASE_DEADLINE_S = 30


def main() -> None:
    """Receive studies until SIGTERM or SIGINT."""
    settings = settings_or_exit()
    set_up_log(settings)
    try:
        serve(settings, stop_event())
    except (TriageError, OSError) as error:
        stop(error)


def stop_event() -> threading.Event:
    """Give an event that SIGTERM and SIGINT set."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    return stopped


def serve(settings: Settings, stopped: threading.Event) -> None:
    """Open the port and keep house until stopped."""
    database = wait_for_database(settings, DATABASE_DEADLINE_S)
    ensure_broker(settings)
    inbox = Inbox(settings.storage, settings.min_free_mb * MEGABYTE)
    pool = AcceptorPool(settings, inbox)
    keeper = Keeper(settings, database, inbox)
    keeper.recover()
    try:
        for kind, (host, port) in pool.start().items():
            log.info("receiver listens", kind=kind, host=host, port=port, title=settings.ae_title)
        keeper.run(stopped)
    finally:
        pool.stop()
    keeper.make_round()  # what was acknowledged last is catalogued before we go
    log.info("receiver stopped")


if __name__ == "__main__":
    typer.run(main)
