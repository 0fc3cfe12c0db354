"""The receiver from its start to its end: first the ports, then whatever needs the database."""

import signal
import threading
import time
from contextlib import suppress
from typing import Final

import structlog

from receiver.access.peer_limits import PeerLimits
from receiver.catalogue.intake import Catalogue
from receiver.catalogue.new_storage import warn_of_new_storage
from receiver.catalogue.share import Share
from receiver.completeness.scp import announcements_taken
from receiver.inbox import Inbox
from receiver.metrics import receiver_life, serve_metrics
from receiver.periodic.steps import REJECTIONS, receiver_steps
from receiver.periodic.sweeper import Step, Sweeper
from receiver.processes.listeners import begin_again
from receiver.processes.pool import AcceptorPool
from receiver.roster import SIGN_S, Presence
from schema.broker import ensure_broker
from schema.database import Database, connect, open_database
from schema.errors import TransientError, describe
from schema.files import MEGABYTE, make_private
from schema.settings import Settings
from schema.storage_contract import require_contract

log = structlog.get_logger()

LOOK_S: Final = 0.2  # whether to end
ASK_AGAIN_S: Final = 1.0  # while the database is away
LAST_S: Final = 2.0  # for what was acknowledged last; the rest is for the next receiver


class Ending(threading.Event):
    """Set when this program is to end, by SIGTERM or SIGINT, or to begin again, by SIGHUP."""

    def __init__(self) -> None:
        super().__init__()
        self.to_begin_again = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.end())
        signal.signal(signal.SIGHUP, lambda *_: self.begin_again())

    def wait_for_it(self) -> None:
        """Wait; a signal that the kernel gives to another thread does not wake this one."""
        while not self.wait(LOOK_S):
            pass

    def end(self) -> None:
        """End for good, whatever was wanted before."""
        self.to_begin_again = False
        self.set()

    def begin_again(self) -> None:
        """End, and be followed by the program as it is on disk then."""
        self.to_begin_again = not self.is_set() or self.to_begin_again
        self.set()


def serve(settings: Settings, ending: Ending) -> None:
    """Keep the ports open until the end; keep house as soon as the database is there."""
    if warning := PeerLimits.of(settings).warning:
        log.warning(warning)
    make_private(settings.storage)
    require_contract(settings.storage)
    ensure_broker(settings)
    database = connect(settings)
    presence = Presence(settings.storage)
    sweeper = Sweeper(receiver_steps(settings, database, presence))
    inbox = Inbox(settings.storage, settings.min_free_mb * MEGABYTE)
    pool = AcceptorPool(settings, inbox, presence)
    life = receiver_life(settings, database, pool.count)
    try:
        for kind, (host, port) in pool.start().items():
            log.info("receiver listens", kind=kind, host=host, port=port, title=settings.ae_title)
        show_presence(presence, ending)
        serve_metrics(settings, database, life)
        life.start()
        is_ready = wait_for_database(settings, ending)
        if is_ready:
            with suppress(TransientError):  # a word, for which nobody waits
                warn_of_new_storage(database, settings.storage)
            with announcements_taken(settings, database):
                sweeper.start(ending)
                ending.wait_for_it()
    finally:
        pool.stop(keep_ports=ending.to_begin_again)
        life.stop()
    sweeper.join()
    if is_ready:
        sweeper.run_once(REJECTIONS)  # of the acceptors' last seconds
        take_in_the_last(settings, database, presence)
    presence.leave()
    log.info("receiver stopped")
    if ending.to_begin_again:
        begin_again(pool.listeners)


def show_presence(presence: Presence, ending: Ending) -> None:
    """Give signs of life, whether the database is there or not."""

    def show() -> None:
        if not presence.show():
            log.error("another receiver took this one for gone; it begins again")
            ending.begin_again()

    Sweeper([Step("sign of life", "sign of life", SIGN_S, show)]).start(ending)


def wait_for_database(settings: Settings, ending: Ending) -> bool:
    """Wait until the database is there and fits, saying once why not; False if the end is first."""
    said = None
    while not ending.is_set():
        try:
            open_database(settings).engine.dispose()
        except Exception as error:  # noqa: BLE001 - the edge: whatever it is, images still come
            if said != (said := describe(error)):
                log.error("received objects wait in the inbox", reason=said)
        else:
            return True
        ending.wait(ASK_AGAIN_S)
    return False


def take_in_the_last(settings: Settings, database: Database, presence: Presence) -> None:
    """Give what was acknowledged last its rows, if that is quick."""
    share = Share(settings.storage, presence, leads=lambda: False)
    catalogue = Catalogue(database, settings.storage, share.folders)
    deadline = time.monotonic() + LAST_S
    try:
        while catalogue.take_some() and time.monotonic() < deadline:
            pass
    except Exception as error:  # noqa: BLE001 - the edge: the program must end, or begin again
        log.warning("what was acknowledged last waits in the inbox", reason=describe(error))
