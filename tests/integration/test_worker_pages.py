"""The pages of a worker's parent, for what its worker consumes."""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import create_server
from types import SimpleNamespace

import httpx
import pytest
from alembic import command
from sqlalchemy import select
from structlog.testing import capture_logs

from schema.database import Database, alembic_config
from schema.messages import DELIVER_QUEUE, TRIAGE_QUEUE
from schema.monitoring.life import Life
from schema.monitoring.signs import Part
from schema.settings import Settings
from schema.tables import Process
from tests.support.workers import solo_worker
from worker.delivery.destinations import Destinations
from worker.delivery.service import DeliveryService
from worker.metrics import Workforce, open_worker_pages, worker_life

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@contextmanager
def pages(settings: Settings, database: Database, queue: str) -> Iterator[tuple[Life, str]]:
    """Open those of a worker of one queue; give its life and their address."""
    worker = solo_worker()
    worker.app.triage = settings.model_copy(
        update={"worker_metrics_port": 0, "broker_url": "redis://127.0.0.1:1"}
    )
    worker.app.amqp = SimpleNamespace(queues=SimpleNamespace(consume_from={queue: None}))
    workforce = Workforce(worker, None)
    life = worker_life(worker, workforce, database)
    opened = open_worker_pages(worker, workforce, life, database)
    assert opened is not None
    yield life, f"http://127.0.0.1:{opened.port}"
    opened.close()


def test_a_worker_is_known_by_its_node_name(settings: Settings, database: Database) -> None:
    with pages(settings, database, DELIVER_QUEUE) as (life, _):
        life.sign()
    with database.reading() as session:
        assert session.scalars(select(Process.instance)).one() == "triage0@gpu1"


def test_a_delivery_worker_is_ready_by_storage_and_database_and_shows_the_outbox(
    settings: Settings, database: Database
) -> None:
    with pages(settings, database, DELIVER_QUEUE) as (life, address):
        assert life.part is Part.DELIVER
        life.look()
        assert httpx.get(f"{address}/ready").text.startswith("storage: ")
        (settings.storage / "inbox").mkdir(parents=True)
        life.look()
        assert httpx.get(f"{address}/ready").text == "ready\n"
        metrics = httpx.get(f"{address}/metrics").text
    assert "# TYPE triage_deliveries gauge" in metrics
    assert "# TYPE triage_delivery_seconds histogram" in metrics
    assert "triage_remote_control_enabled" not in metrics


def test_a_triage_worker_without_model_and_broker_names_both(
    settings: Settings, database: Database
) -> None:
    (settings.storage / "inbox").mkdir(parents=True)
    with pages(settings, database, TRIAGE_QUEUE) as (life, address):
        life.look()
        lines = httpx.get(f"{address}/ready").text.splitlines()
        metrics = httpx.get(f"{address}/metrics").text
    assert [line.partition(":")[0] for line in lines] == ["model", "consumer"]
    assert "triage_remote_control_enabled 0.0" in metrics
    assert "# TYPE triage_deliveries gauge" not in metrics


def test_a_triage_worker_before_the_upgrade_says_that_migrations_are_behind(
    settings: Settings, database: Database
) -> None:
    with database.engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    with pages(settings, database, TRIAGE_QUEUE) as (life, _):
        life.look()
    assert life.missing["database"].endswith("run python -m schema upgrade")


def test_the_port_in_the_file_of_destinations_is_passed_over_beside_the_workers_own_page(
    settings: Settings, database: Database
) -> None:
    with create_server(("127.0.0.1", 0)) as own_page, capture_logs() as lines:
        port = own_page.getsockname()[1]
        own = settings.model_copy(update={"worker_metrics_port": port})
        service = DeliveryService(own, database, Destinations(metrics_port=port))
        service.start()
        service.stop()
    assert "TRIAGE_WORKER_METRICS_PORT" in lines[0]["reason"]
