"""Each fault that is injected trips its alert within a minute, in a real Prometheus."""

import datetime
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import trustme
from celery import Celery

from schema.broker import client
from schema.database import Database
from schema.messages import TRIAGE_QUEUE
from schema.settings import Settings
from schema.storage import require_storage
from schema.tables import Instance, Study
from tests.support.models import tiny_model
from tests.support.processes import Site, free_port, wait_for
from tests.support.prometheus import Prometheus, program, prometheus
from tests.support.receivers import write_certificates
from tests.support.rows import add_series, add_study

pytestmark = pytest.mark.slow  # starts a whole system, and a Prometheus that watches it

START_S = 120


class Watched:
    """A receiver and a worker under the eyes of a Prometheus."""

    def __init__(self, site: Site, watch: Prometheus) -> None:
        self.site, self.watch = site, watch
        self.settings, self.database = site.settings, site.database


@pytest.fixture
def watched(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Watched]:
    program("prometheus")
    given = {
        "dicom_port": free_port(),
        "metrics_port": free_port(),
        "worker_metrics_port": free_port(),
        "model": tiny_model(tmp_path / "tiny.safetensors"),
        "lease_s": 10.0,
    }
    own = settings.model_copy(update=given)
    require_storage(own, 0)
    site = Site(own, database, tmp_path / "log")
    site.start_receiver()
    site.start_worker("-Q", TRIAGE_QUEUE)
    ports = [own.metrics_port, own.worker_metrics_port]
    try:
        with prometheus(tmp_path / "prometheus", ports) as watch:
            wait_for("two ready parts", lambda: watch.value("sum(triage_ready)") == 2, START_S)
            wait_for("no alert", lambda: not watch.firing())
            yield Watched(site, watch)
    finally:
        site.stop()
        sys.stdout.write(site.log.read_text()[-20000:])


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_faults_of_workers_and_surroundings_trip_their_alerts(watched: Watched) -> None:
    site, watch, database = watched.site, watched.watch, watched.database

    sick = {"TRIAGE_MODEL": "/nonexistent.safetensors", "TRIAGE_WORKER_METRICS_PORT": "0"}
    assert site.start_worker("-Q", TRIAGE_QUEUE, "-n", "sick@%h", **sick).wait(START_S) == 2
    watch.fault()
    watch.wait_for("TriagePartFailed", part="triage", condition="failed")

    watch.fault()
    away = site.settings.storage.with_name("away")
    site.settings.storage.rename(away)
    watch.wait_for("TriageStorageAway")
    away.rename(site.settings.storage)
    watch.wait_for_silence("TriageStorageAway")

    watch.fault()
    with database.transaction() as session:
        study = add_study(session, "1.2.3")
        study.received_at = database.now()
        series = add_series(study, session)
        session.execute(
            sa.update(Instance)
            .where(Instance.series_id == series.id)
            .values(received_at=database.now() - datetime.timedelta(hours=3))
        )
    watch.wait_for("TriageNoReception")

    watch.wait_for_silence("TriageStudyStuck")
    watch.fault()
    with database.transaction() as session:
        stuck = session.scalars(sa.select(Study)).one()
        stuck.received_at = database.now() - datetime.timedelta(minutes=20)
    watch.wait_for("TriageStudyStuck")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_worker_that_others_may_command_trips_an_alert_and_so_does_one_that_they_stopped(
    watched: Watched,
) -> None:
    site, watch = watched.site, watched.watch
    (worker,) = site.parts[1:]
    site.kill(worker)
    watch.fault()
    site.start_worker("-Q", TRIAGE_QUEUE, "--", "worker.enable_remote_control=yes")
    attached = (
        f'triage_consumer_attached{{instance="127.0.0.1:{site.settings.worker_metrics_port}"}}'
    )
    watch.wait_for("TriageRemoteControl", START_S)
    wait_for("worker that takes messages", lambda: watch.value(attached) == 1, START_S)
    with Celery(broker=site.settings.broker, set_as_current=False) as whoever:
        watch.fault()
        whoever.control.cancel_consumer(TRIAGE_QUEUE)
        watch.wait_for("TriageConsumerCancelled")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_full_disk_and_a_certificate_that_ends_trip_their_alerts(
    watched: Watched, tmp_path: Path
) -> None:
    site, watch = watched.site, watched.watch
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3)
    files = write_certificates(tmp_path / "tls", trustme.CA(), "localhost", not_after=soon)
    receiver = site.parts[0]
    receiver.terminate()
    receiver.wait()
    given = {
        "TRIAGE_MIN_FREE_MB": str(10**9),
        "TRIAGE_TLS_PORT": str(free_port()),
        "TRIAGE_TLS_CERTIFICATE": str(files.certificate),
        "TRIAGE_TLS_KEY": str(files.key),
        "TRIAGE_TLS_CA": str(files.authority),
    }
    watch.fault()
    site.start(sys.executable, "-m", "receiver", **given)
    watch.wait_for("TriageStorageFull")
    watch.wait_for("TriageCertificateExpires")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_worker_that_is_killed_and_a_broker_that_goes_away_trip_their_alerts(
    watched: Watched,
) -> None:
    site, watch = watched.site, watched.watch
    watch.fault()
    site.kill(site.parts[1])
    watch.wait_for("TriagePartDown", instance=f"127.0.0.1:{site.settings.worker_metrics_port}")
    watch.wait_for("TriagePartFailed", part="triage", condition="silent")
    watch.fault()
    with client(site.settings) as connection:
        connection.shutdown(nosave=True)
    watch.wait_for("TriageBrokerAway")
