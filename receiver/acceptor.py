"""`python -m receiver.acceptor NAME DESCRIPTOR`: one of the processes that share the DICOM port.

Started and watched by `receiver.acceptors`; needs neither the database nor the broker.
"""

import os
import signal
import socket
import sys
import threading
from typing import Final

from receiver.inbox import Inbox
from receiver.server import StorageScp
from receiver.storage import MEGABYTE
from schema.log import set_up_log
from schema.settings import settings_or_exit

# With many associations, a thread that has one short thing to do (a C-ECHO) must not wait for
# Python's usual 5 ms behind each of the others.
SWITCH_INTERVAL_S: Final = 0.0005


def main() -> None:
    """Serve connections of the inherited socket until SIGTERM, or until the parent is gone."""
    name, descriptor = sys.argv[1:]
    settings = settings_or_exit()
    set_up_log(settings)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    scp = StorageScp(settings, Inbox(settings.storage, settings.min_free_mb * MEGABYTE, name))
    listener = socket.socket(fileno=int(descriptor))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    threading.Thread(target=end_with_the_parent, daemon=True).start()
    threading.Thread(target=scp.listen, args=(listener,), daemon=True).start()
    stopped.wait()
    scp.stop()


def end_with_the_parent() -> None:
    """End this process when its standard input closes: only the parent holds the other end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)  # at once: what was acknowledged is safe, and nobody watches us any more


if __name__ == "__main__":
    main()
