"""Every query that some part asks over and over, by name: what is timed and whose plan is held.

Where a step does more than ask, such as calling a peer, its query stands here alone.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from receiver.catalogue.intake import close_lost_associations
from receiver.catalogue.retention import candidates
from receiver.catalogue.rows import known_paths
from receiver.commitment.reporter import due_requests
from receiver.completeness.evidence import read_known, receiving, smallest_first
from receiver.completeness.find_counts import Counter
from receiver.dispatch.redispatch import due_jobs
from receiver.dispatch.second_choice import with_second_choice
from receiver.dispatch.set_back import free_set_back
from receiver.inbox import Inbox
from receiver.metrics import read_waiting
from schema.canaries import read_canaries
from schema.database import Database, read_clock, standing
from schema.monitoring.ends import read_ends
from schema.monitoring.life import Life
from schema.monitoring.signs import Part
from schema.monitoring.site import read_site
from schema.operation import read_operation
from schema.owners import release_orphans
from schema.peers import parse_addresses
from schema.queue import most_overdue, most_urgent
from schema.settings import Settings
from schema.storage import Storage
from schema.studies import Healer
from schema.tables import Instance, StoreCheck
from worker.delivery.breaker import note_success
from worker.delivery.claims import claim as claim_delivery
from worker.delivery.confirming import take_unconfirmed
from worker.delivery.destinations import DicomDestination, load_destinations
from worker.delivery.events import queue_events
from worker.delivery.standing import LISTED, read_standings
from worker.delivery.unstated import unstated
from worker.lease import claim
from worklist.acknowledgement import overdue
from worklist.listing import fingerprint
from worklist.metrics import metrics_text
from worklist.queries import check_database, read_stations, read_worklist
from worklist.window import View, Window

# The receiver's steps, each with the queries below that it asks; "" for one that asks nothing.
STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "leadership": ("",),  # no table
    "leadership of the storage": ("",),
    "roster": ("",),  # files
    "lost associations": ("associations without a folder",),
    "catalogue": ("",),  # nothing while nothing arrives, and then by UID
    "plan": ("series that still arrive", "smallest of those first", "evidence of those"),
    "fall back": ("second choices",),
    "dispatch": ("jobs that are due",),
    "orphans": ("jobs of dead workers",),
    "heal": ("studies that contradict their jobs",),
    "rebuild": ("store looked through until", "1000 files of the store"),
    "certificate": ("",),
    "rejections": ("",),  # nothing while nobody is rejected, and then a table of one week
    "commitment requests": ("",),  # files
    "commitment reports": ("commitments to report",),
    "retention": ("files to remove",),
    "counts": ("counts to ask for",),
    "canary": ("how the canaries go",),
    "canaries of yesterday": ("",),  # a table of some hundred rows
}
DESTINATIONS: Final = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = 104
ae_title = "PACS"
[destinations.RIS]
kind = "hl7"
host = "127.0.0.1"
port = 2575
"""
FIRST_READY: Final = 21  # the job of `tests.benchmarks.filled` that waits for a worker

Query = Callable[[], object]


def periodic(settings: Settings, database: Database, folder: Path) -> dict[str, Query]:
    """Give each query; one that claims something claims the next with each call."""
    asked: dict[str, Query] = {}
    for part in (_receiver, _worker, _delivery, _worklist):
        asked |= part(settings, database, folder)
    return asked


def _reader(database: Database) -> Callable[[Callable[[Session], object]], Query]:
    def reader(query: Callable[[Session], object]) -> Query:
        def ask() -> object:
            with database.reading() as session:
                return query(session)

        return ask

    return reader


def _receiver(settings: Settings, database: Database, _folder: Path) -> dict[str, Query]:
    reading = _reader(database)
    peers = parse_addresses(",".join(f"CT{number}=127.0.0.1:104" for number in range(6)))
    counter = Counter(settings.model_copy(update={"count_peers": peers}), database)
    Inbox(settings.storage, 0)
    storage = Storage.at(settings.storage)
    with database.reading() as session:
        waiting = [arrival.series_id for arrival in receiving(session)]
        paths = session.scalars(sa.select(Instance.path).limit(1000)).all()
    return {
        "series that still arrive": reading(receiving),
        "smallest of those first": reading(lambda session: smallest_first(session, waiting)),
        "evidence of those": reading(lambda session: read_known(session, waiting)),
        "second choices": reading(lambda session: with_second_choice(session, read_clock(session))),
        "jobs that are due": reading(due_jobs),
        "jobs of a clock that was set back": lambda: free_set_back(database, settings),
        "jobs of dead workers": lambda: release_orphans(database),
        "studies that contradict their jobs": Healer(database).heal,
        "store looked through until": reading(
            lambda session: session.scalar(
                sa.select(StoreCheck).where(StoreCheck.storage == storage.identity)
            )
        ),
        "1000 files of the store": reading(lambda session: known_paths(session, paths)),
        "commitments to report": reading(lambda s: due_requests(s, read_clock(s), storage)),
        "files to remove": reading(lambda s: candidates(s, read_clock(s) - timedelta(days=30))),
        "counts to ask for": reading(counter.due),
        "metrics of the receiver": reading(read_waiting),
        "associations without a folder": lambda: close_lost_associations(database, storage.path),
        "how the canaries go": reading(read_canaries),
        "schema check": lambda: standing(database),
        "what schema check tells": reading(lambda s: read_operation(s, settings.study_late_s)),
        "metrics of the site": reading(lambda s: read_site(s, settings.study_late_s)),
        "what ended for the metrics": reading(_read_ends),
        "sign of life": lambda: Life(Part.RECEIVER, database, {}).sign(),
    }


def _read_ends(session: Session) -> object:
    now = read_clock(session)
    return read_ends(session, now, now - timedelta(minutes=1))


def _worker(settings: Settings, database: Database, _folder: Path) -> dict[str, Query]:
    numbers, reading = count(FIRST_READY), _reader(database)
    return {
        "most urgent job": reading(lambda s: most_urgent(s, read_clock(s), FIRST_READY)),
        "job that waits too long": reading(lambda s: most_overdue(s, read_clock(s), FIRST_READY)),
        "claim of a job": lambda: claim(database, next(numbers), settings),
    }


def _delivery(_settings: Settings, database: Database, folder: Path) -> dict[str, Query]:
    reading, path = _reader(database), folder / "destinations.toml"
    path.write_text(DESTINATIONS)
    places = load_destinations(path)
    pacs, ris = places.destinations
    assert isinstance(pacs, DicomDestination)
    return {
        "claim of objects for an archive": lambda: claim_delivery(database, pacs),
        "claim of a message": lambda: claim_delivery(database, ris),
        "objects to confirm": lambda: take_unconfirmed(database, pacs),
        "circuit breaker": lambda: note_success(database, pacs),
        "events to send": lambda: queue_events(database, places),
        "unanalysed to state": reading(lambda s: unstated(s, read_clock(s))),
        "metrics of deliveries": reading(lambda s: read_standings(s, (pacs.name,), LISTED)),
    }


def _worklist(_settings: Settings, database: Database, folder: Path) -> dict[str, Query]:
    reading = _reader(database)
    windows = {"": Window(), " of all": Window(view=View.ALL), " unread": Window(view=View.UNREAD)}
    pages: dict[str, Query] = {
        f"page of the list{name}": lambda window=window: read_worklist(database, folder, window)  # type: ignore[misc]
        for name, window in windows.items()
    }
    return pages | {
        "whether the list changed": reading(fingerprint),
        "critical results to call out": reading(
            lambda s: overdue(s, read_clock(s) - timedelta(minutes=15))
        ),
        "metrics of the list": lambda: metrics_text(database),
        "stations to filter by": lambda: read_stations(database),
        "health of the page": lambda: check_database(database),
    }
