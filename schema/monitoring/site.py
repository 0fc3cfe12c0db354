"""How the whole site stands, by the tables and the broker, whichever host is asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.broker import count_waiting, ping
from schema.canaries import without_canaries
from schema.database import Database, read_clock
from schema.errors import BrokerUnavailableError, DatabaseUnavailableError
from schema.messages import TRIAGE_QUEUE
from schema.monitoring.open_studies import Reconciliation, reconcile
from schema.monitoring.signs import Running, read_running
from schema.monitoring.unseen import oldest_unseen
from schema.settings import Settings
from schema.states import Outcome, SeriesState
from schema.tables import Instance, Job, Series

UNSEEN_PLACES = (1, 2, 3)  # of what is moved up and nobody has seen


@dataclass(frozen=True)
class Site:
    """What the tables say of the site."""

    running: tuple[Running, ...]
    studies: Reconciliation
    oldest_undecided_s: float
    oldest_unseen_positive_s: float
    last_reception_s: float | None


def read_site(session: Session, late_s: float) -> Site:
    """Ask the tables."""
    now = read_clock(session)

    def age_s(moment: datetime | None) -> float:
        return max((now - moment).total_seconds(), 0.0) if moment else 0.0

    newest = select(func.max(Instance.id)).scalar_subquery()
    last = session.scalar(select(Instance.received_at).where(Instance.id == newest))
    return Site(
        read_running(session),
        reconcile(session, late_s),
        age_s(_oldest_undecided(session)),
        age_s(oldest_unseen(session, UNSEEN_PLACES, Job.outcome == Outcome.POSITIVE)),
        None if last is None else age_s(last),
    )


def _oldest_undecided(session: Session) -> datetime | None:
    receiving = Series.state == SeriesState.RECEIVING
    return session.scalar(select(func.min(Series.last_instance_at)).where(receiving))


class SiteCollector(Collector):
    """Gives the gauges of the site; those of the tables while the database answers."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = without_canaries(database)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask broker and tables."""
        yield from _describe_broker(self._settings)
        try:
            with self._database.reading() as session:
                site = read_site(session, self._settings.study_late_s)
        except DatabaseUnavailableError:
            return
        yield _describe_running(site.running)
        yield from _describe_studies(site)


def _describe_broker(settings: Settings) -> Iterator[GaugeMetricFamily]:
    up = "Whether the broker answers and takes writes"
    try:
        ping(settings)
        waiting = count_waiting(settings, TRIAGE_QUEUE)
    except BrokerUnavailableError:
        yield GaugeMetricFamily("triage_broker_up", up, 0)
        return
    yield GaugeMetricFamily("triage_broker_up", up, 1)
    queued = GaugeMetricFamily(
        "triage_queue_messages", "Messages that wait for a worker", labels=["queue"]
    )
    queued.add_metric([TRIAGE_QUEUE], waiting)
    yield queued


def _describe_running(running: tuple[Running, ...]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "triage_processes",
        "Parts by host and condition; not what another of its kind has replaced since",
        labels=["part", "host", "condition"],
    )
    counts: dict[tuple[str, str, str], int] = {}
    for process in running:
        if not process.replaced:
            key = (process.part, process.host, process.condition)
            counts[key] = counts.get(key, 0) + 1
    for key, count in counts.items():
        family.add_metric(list(key), count)
    return family


def _describe_studies(site: Site) -> Iterator[GaugeMetricFamily]:
    gauges = {
        "open_studies": ("Studies that were received and have not ended", site.studies.open),
        "late_studies": ("Those of which nothing moved for long", site.studies.late),
        "oldest_open_study_seconds": ("Since anything moved there", site.studies.oldest_s),
        "oldest_undecided_series_seconds": (
            "Since the last image of the series that waits longest for a decision",
            site.oldest_undecided_s,
        ),
        "oldest_unseen_positive_seconds": (
            "Since the oldest positive result that nobody has seen",
            site.oldest_unseen_positive_s,
        ),
    }
    for name, (what, value) in gauges.items():
        yield GaugeMetricFamily(f"triage_{name}", what, value)
    if site.last_reception_s is not None:
        yield GaugeMetricFamily(
            "triage_last_reception_seconds", "Since the newest image came", site.last_reception_s
        )
