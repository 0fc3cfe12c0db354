"""What Prometheus may know of the list: how much nobody has seen."""

from collections.abc import Iterator

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from schema.database import Database, read_clock
from schema.monitoring.pages import describe_part
from schema.monitoring.signs import Part
from schema.monitoring.unseen import oldest_unseen
from schema.states import Level
from schema.tables import Job, StudyEvent
from worklist.acknowledgement import UNREAD_CRITICAL
from worklist.listing import CRITICAL, count_unread


def metrics_text(database: Database) -> str:
    """Write the metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ListCollector(database))
    return generate_latest(registry).decode()


class ListCollector(Collector):
    """How the list stands at the moment of the question."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterator[Metric]:
        """Name nothing beforehand: that would ask the database twice."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Give each gauge; an error is the answer where the database is away."""
        with self._database.reading() as session:
            oldest = oldest_unseen(session, (CRITICAL,), Job.priority == Level.CRITICAL)
            waiting_s = (read_clock(session) - oldest).total_seconds() if oldest else 0.0
            escalated = session.scalar(
                sa.select(sa.func.count(StudyEvent.id)).where(StudyEvent.kind == UNREAD_CRITICAL)
            )
            gauges = {
                "unread_studies": ("Results that nobody has seen", count_unread(session)),
                "unread_critical_studies": ("Critical ones", count_unread(session, CRITICAL)),
                "oldest_unread_critical_seconds": ("Age of the oldest of those", waiting_s),
            }
        yield from describe_part(Part.WORKLIST, ready=True, model="")
        for name, (what, value) in gauges.items():
            yield GaugeMetricFamily(f"triage_{name}", what, value)
        yield CounterMetricFamily(
            "triage_escalations", "Critical results called out a second time", escalated or 0
        )
