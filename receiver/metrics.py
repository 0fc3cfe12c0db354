"""The receiver's pages: whether it is ready, what its processes counted, and how things stand.

Off unless TRIAGE_METRICS_PORT is set; the sign of life in the tables is given anyway.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.access.tls import TlsFiles, expires_at
from receiver.catalogue.intake import QUARANTINE
from receiver.counts import counts_folder
from receiver.inbox import waiting_since
from schema.canaries import CanaryStanding, read_canaries
from schema.database import Database, read_clock, require_writable
from schema.errors import DatabaseUnavailableError
from schema.identity import IdentityChange
from schema.monitoring.disk import StorageCollector, sees_storage, storage_missing
from schema.monitoring.life import Check, Life
from schema.monitoring.outcomes import OutcomeCollector
from schema.monitoring.pages import Pages, open_pages
from schema.monitoring.signs import Part
from schema.monitoring.site import SiteCollector
from schema.settings import Settings
from schema.states import ACTIVE, SeriesState
from schema.tables import Commitment, IdentityEvent, Job, Series, Study

DATABASE_UP = "Whether the database answers and takes writes"


def receiver_life(settings: Settings, database: Database, acceptors: Callable[[], int]) -> Life:
    """Make what looks after the receiver: it can take images while storage and acceptors are there.

    The database is no part of that: what is acknowledged meanwhile is safe, and catalogued later.
    """
    checks: Mapping[str, Check] = {
        "storage": lambda: storage_missing(settings.storage),
        "acceptors": lambda: None if acceptors() else "no acceptor process runs, see the log",
    }
    ports = f"ports {settings.dicom_port} {settings.tls_port}"
    return Life(Part.RECEIVER, database, checks, instance=ports)


def serve_metrics(settings: Settings, database: Database, life: Life) -> Pages | None:
    """Open the receiver's pages, if they are wanted.

    Raises
    ------
    SettingsError
        If somebody else has the port.
    """
    if settings.metrics_port is None:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(counts_folder(settings)))  # type: ignore[no-untyped-call]
    registry.register(StorageCollector(settings, life))
    registry.register(FilesCollector(settings, life))
    registry.register(StandingCollector(settings, database))
    registry.register(SiteCollector(settings, database))
    registry.register(OutcomeCollector(database))
    name = "TRIAGE_METRICS_PORT"
    return open_pages(name, settings.metrics_host, settings.metrics_port, life, registry)


@dataclass(frozen=True)
class Waiting:
    """What waits, by the database."""

    series: int
    jobs: Mapping[str, int]
    oldest_job_s: float
    commitments: int
    identities: Mapping[str, int]
    mismatches_open: int


class FilesCollector(Collector):
    """What lies in the storage and has no row."""

    def __init__(self, settings: Settings, life: Life) -> None:
        self._storage = settings.storage
        self._life = life

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count the files, of a storage that was there at the last look."""
        if not sees_storage(self._life):
            return
        waiting = list(waiting_since(self._storage))
        yield _gauge("inbox_objects", "Objects that are safe, but not catalogued yet", len(waiting))
        now = time.time()
        oldest_s = max(now - min(waiting, default=now), 0)
        yield _gauge("oldest_inbox_object_seconds", "Age of the oldest of them", oldest_s)
        aside = sum(1 for _ in (self._storage / QUARANTINE).glob("*"))
        yield _gauge("quarantined_objects", "Objects that were set aside, see the log", aside)


class StandingCollector(Collector):
    """How things stand at the moment of the question."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._has_canaries = settings.canary_minutes is not None
        files = TlsFiles.of(settings)
        self._certificate = None if files is None else files.certificate

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give each gauge; without a database, those that need none."""
        if self._certificate is not None:
            left = expires_at(self._certificate) - datetime.now(UTC)
            yield _gauge(
                "certificate_expiry_seconds",
                "Until our certificate ends; negative afterwards",
                left.total_seconds(),
            )
        try:
            require_writable(self._database)
            with self._database.reading() as session:
                waiting, canaries = read_waiting(session), read_canaries(session)
        except DatabaseUnavailableError:
            yield _gauge("database_up", DATABASE_UP, 0)
            return
        yield _gauge("database_up", DATABASE_UP, 1)
        yield from _describe(waiting)
        # One that nobody follows up would keep its alert for a month.
        if canaries is not None and self._has_canaries:
            yield from _describe_canaries(canaries)


def read_waiting(session: Session) -> Waiting:
    """Count what waits."""
    receiving = select(func.count(Series.id)).where(Series.state == SeriesState.RECEIVING)
    by_state = (
        select(Job.state, func.count(Job.id)).where(Job.state.in_(ACTIVE)).group_by(Job.state)
    )
    oldest = session.scalar(select(func.min(Job.created_at)).where(Job.state.in_(ACTIVE)))
    age_s = (read_clock(session) - oldest).total_seconds() if oldest else 0.0
    undelivered = select(func.count(Commitment.id)).where(Commitment.due_at.is_not(None))
    kinds = select(IdentityEvent.kind, func.count(IdentityEvent.id)).group_by(IdentityEvent.kind)
    identities = {kind.value: count for kind, count in session.execute(kinds)}
    mixed = select(func.count(Study.id)).where(Study.identity_alert.is_not(None))
    counted = {state.value: count for state, count in session.execute(by_state)}
    return Waiting(
        series=session.scalar(receiving) or 0,
        jobs={state.value: counted.get(state.value, 0) for state in ACTIVE},
        oldest_job_s=age_s,
        commitments=session.scalar(undelivered) or 0,
        identities=dict.fromkeys(IdentityChange, 0) | identities,
        mismatches_open=session.scalar(mixed) or 0,
    )


def _describe(waiting: Waiting) -> Iterator[GaugeMetricFamily]:
    yield _gauge("series_receiving", "Series that are not decided on yet", waiting.series)
    jobs = GaugeMetricFamily("triage_jobs", "Jobs that are not over, by state", labels=["state"])
    for state, count in waiting.jobs.items():
        jobs.add_metric([state], count)
    yield jobs
    yield _gauge(
        "oldest_job_seconds", "Age of the oldest job that is not over", waiting.oldest_job_s
    )
    events = GaugeMetricFamily(
        "triage_identity_events",
        "Second identities that came under a study, by what was made of them",
        labels=["kind"],
    )
    for kind, count in waiting.identities.items():
        events.add_metric([str(kind)], count)
    yield events
    yield _gauge(
        "identity_mismatches_open",
        "Studies under which objects of two patients lie",
        waiting.mismatches_open,
    )
    yield _gauge(
        "commitments_waiting", "Commitment requests without a delivered answer", waiting.commitments
    )


def _describe_canaries(standing: CanaryStanding) -> Iterator[GaugeMetricFamily]:
    """Give what is known of them: an age, where there is none, is infinite."""
    if standing.seconds is not None:
        what = "What the newest canary with a result took, from its first byte to the result"
        yield _gauge("canary_seconds", what, standing.seconds)
    if standing.is_known is not None:
        what = "Whether the newest canary that ended had the known result"
        yield _gauge("canary_result_known", what, standing.is_known)
    since = standing.since_known
    what = "Since the newest canary with the known result was sent"
    yield _gauge("canary_age_seconds", what, inf if since is None else since.total_seconds())
    waits_s = 0.0 if standing.waits is None else standing.waits.total_seconds()
    yield _gauge("canary_waiting_seconds", "How long a canary waits for its result", waits_s)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"triage_{name}", what, value)
