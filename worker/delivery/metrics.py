"""How deliveries stand at each destination, for Prometheus; off unless `metrics_port` is set."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from schema.database import Database
from schema.errors import DatabaseUnavailableError
from worker.delivery.counts import DELIVERY_SECONDS
from worker.delivery.destinations import Destinations
from worker.delivery.standing import LISTED, read_standings


def serve_metrics(places: Destinations, database: Database) -> int | None:
    """Open the page, if it is wanted; return its port."""
    if places.metrics_port is None:
        return None
    registry = CollectorRegistry()
    registry.register(OutboxCollector(places, database))
    registry.register(DELIVERY_SECONDS)
    server, _ = start_http_server(places.metrics_port, places.metrics_host, registry)
    return int(server.server_port)


class OutboxCollector(Collector):
    """How things stand at the moment of the question."""

    def __init__(self, places: Destinations, database: Database) -> None:
        self._names = tuple(destination.name for destination in places.destinations)
        self._database = database

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give each gauge; nothing while the database is away."""
        try:
            with self._database.reading() as session:
                standings = read_standings(session, self._names, LISTED)
        except DatabaseUnavailableError:
            return
        deliveries = GaugeMetricFamily(
            "triage_deliveries",
            "Deliveries that are not over, or failed, by destination and state",
            labels=["destination", "state"],
        )
        for standing in standings:
            for state in LISTED:
                deliveries.add_metric(
                    [standing.name, state.value], standing.counts.get(state.value, 0)
                )
        yield deliveries
        yield _gauge(
            "oldest_delivery_seconds",
            "Age of the oldest delivery that is not over",
            [(standing.name, standing.oldest_s) for standing in standings],
        )
        yield _gauge(
            "destination_failures",
            "Failures in a row",
            [(standing.name, standing.failures) for standing in standings],
        )
        yield _gauge(
            "destination_held",
            "Whether an operator holds it",
            [(standing.name, float(standing.held)) for standing in standings],
        )


def _gauge(name: str, what: str, values: list[tuple[str, float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"triage_{name}", what, labels=["destination"])
    for destination, value in values:
        family.add_metric([destination], value)
    return family
