"""Where evidence comes from besides the images: announcements that we take, counts that we ask."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from receiver.completeness.find_counts import Counter
from receiver.completeness.scp import AnnouncementScp
from schema.database import Database
from schema.settings import Settings

log = structlog.get_logger()


@contextmanager
def gathering_evidence(
    settings: Settings, database: Database, stopped: threading.Event
) -> Iterator[None]:
    """Take announcements and ask for counts, each where the settings say so."""
    if settings.count_peers:
        counter = Counter(settings, database)
        threading.Thread(target=counter.run, args=(stopped,), name="counter", daemon=True).start()
    if settings.announcement_port is None:
        yield
        return
    server = AnnouncementScp(settings, database).start()
    host, port = server.server_address[:2]
    log.info("receiver listens", kind="announcements", host=host, port=port)
    try:
        yield
    finally:
        server.shutdown()
