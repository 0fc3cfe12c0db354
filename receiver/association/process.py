"""`python -m receiver.association.process NAME PLACES KIND=DESCRIPTOR ...`: a process of the ports.

Started and watched by `receiver.processes.pool`; needs neither the database nor the broker.
"""

import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog

from receiver.access.shared_places import SharedPlaces
from receiver.access.tls import TlsFiles, acceptor_context, secured
from receiver.association.loop import Secure
from receiver.association.server import StorageScp
from receiver.inbox import Inbox
from receiver.processes.listeners import PLAIN, TLS
from receiver.processes.pool import end_with_the_parent
from schema.errors import SettingsError
from schema.files import MEGABYTE, keep_private
from schema.log import set_up_log
from schema.settings import Settings, settings_or_exit

log = structlog.get_logger()

# With many associations, a thread that has one short thing to do (a C-ECHO) must not wait for
# Python's usual 5 ms behind each of the others.
SWITCH_INTERVAL_S: Final = 0.0005
LOOK_S: Final = 0.2  # whether to end


def main() -> None:
    """Serve connections of the inherited sockets until SIGTERM, or until the parent is gone."""
    name, places, *ports = sys.argv[1:]
    settings = settings_or_exit()
    set_up_log(settings)
    keep_private()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    inbox = Inbox(settings.storage, settings.min_free_mb * MEGABYTE, name)
    scp = StorageScp(settings, inbox, SharedPlaces(int(places)))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    listening = []
    for port in ports:
        kind, _, descriptor = port.partition("=")
        arguments = (socket.socket(fileno=int(descriptor)), SECURE[kind](settings))
        listening.append(threading.Thread(target=scp.listen, args=arguments, daemon=True))
        listening[-1].start()
    # Not one long wait: a signal that the kernel gives to another thread does not wake this one.
    while all(thread.is_alive() for thread in listening) and not stopped.wait(LOOK_S):
        pass
    scp.take_no_more()
    for thread in listening:
        thread.join()  # a connection that was taken last is served, too
    scp.stop()
    if not stopped.is_set():
        log.error("it listens no more, so it ends")
        raise SystemExit(1)  # another one is started


def no_security(_settings: Settings) -> None:
    """Leave connections as they are."""


def tls_security(settings: Settings) -> Secure:
    """Make TLS connections of them."""
    files = TlsFiles.of(settings)
    if files is None:
        raise SettingsError("the TLS port is open without certificates")
    return partial(secured, context=acceptor_context(files))


SECURE: Final[Mapping[str, Callable[[Settings], Secure | None]]] = MappingProxyType(
    {PLAIN: no_security, TLS: tls_security}
)


if __name__ == "__main__":
    main()
