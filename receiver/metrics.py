"""The receiver's metrics page for Prometheus: what its processes counted, and how things stand.

Off unless TRIAGE_METRICS_PORT is set.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.access.tls import TlsFiles, expires_at
from receiver.catalogue.intake import QUARANTINE
from receiver.counts import counts_folder
from receiver.inbox import FOLDER, OBJECT_SUFFIX
from schema.database import Database, read_clock
from schema.errors import DatabaseUnavailableError
from schema.identity import IdentityChange
from schema.settings import Settings
from schema.states import JobState, SeriesState
from schema.tables import Commitment, IdentityEvent, Job, Series, Study


def serve_metrics(settings: Settings, database: Database) -> int | None:
    """Open the metrics page, if it is wanted; return its port."""
    if settings.metrics_port is None:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(counts_folder(settings)))  # type: ignore[no-untyped-call]
    registry.register(StandingCollector(settings, database))
    server, _ = start_http_server(settings.metrics_port, settings.metrics_host, registry)
    return int(server.server_port)


@dataclass(frozen=True)
class Waiting:
    """What waits, by the database."""

    series: int
    jobs: Mapping[str, int]
    oldest_job_s: float
    commitments: int
    identities: Mapping[str, int]
    mismatches_open: int


class StandingCollector(Collector):
    """How things stand at the moment of the question."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._storage = settings.storage
        self._database = database
        files = TlsFiles.of(settings)
        self._certificate = None if files is None else files.certificate

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give each gauge; without a database, those that need none."""
        inbox = sum(1 for _ in (self._storage / FOLDER).glob(f"*/*{OBJECT_SUFFIX}"))
        yield _gauge("inbox_objects", "Objects that are safe, but not catalogued yet", inbox)
        aside = sum(1 for _ in (self._storage / QUARANTINE).glob("*"))
        yield _gauge("quarantined_objects", "Objects that were set aside, see the log", aside)
        yield _gauge(
            "storage_free_bytes", "Free space of the storage", shutil.disk_usage(self._storage).free
        )
        if self._certificate is not None:
            left = expires_at(self._certificate) - datetime.now(UTC)
            yield _gauge(
                "certificate_expiry_seconds",
                "Until our certificate ends; negative afterwards",
                left.total_seconds(),
            )
        try:
            with self._database.reading() as session:
                waiting = read_waiting(session)
        except DatabaseUnavailableError:
            yield _gauge("database_up", "Whether the database answers", 0)
            return
        yield _gauge("database_up", "Whether the database answers", 1)
        yield from _describe(waiting)


def read_waiting(session: Session) -> Waiting:
    """Count what waits."""
    receiving = select(func.count(Series.id)).where(Series.state == SeriesState.RECEIVING)
    active = (JobState.READY, JobState.RUNNING)
    by_state = (
        select(Job.state, func.count(Job.id)).where(Job.state.in_(active)).group_by(Job.state)
    )
    oldest = session.scalar(select(func.min(Job.created_at)).where(Job.state.in_(active)))
    age_s = (read_clock(session) - oldest).total_seconds() if oldest else 0.0
    undelivered = select(func.count(Commitment.id)).where(Commitment.due_at.is_not(None))
    kinds = select(IdentityEvent.kind, func.count(IdentityEvent.id)).group_by(IdentityEvent.kind)
    identities = {kind.value: count for kind, count in session.execute(kinds)}
    mixed = select(func.count(Study.id)).where(Study.identity_alert.is_not(None))
    counted = {state.value: count for state, count in session.execute(by_state)}
    return Waiting(
        series=session.scalar(receiving) or 0,
        jobs={state.value: counted.get(state.value, 0) for state in active},
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


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"triage_{name}", what, value)
