"""The metrics page, as Prometheus reads it."""

import os
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from receiver.inbox import Inbox
from receiver.metrics import (
    FilesCollector,
    StandingCollector,
    receiver_life,
    serve_metrics,
)
from schema.database import Database
from schema.monitoring.disk import StorageCollector
from schema.monitoring.life import Life
from schema.settings import Settings
from schema.states import Outcome
from schema.tables import Process
from tests.support.phantoms import FEW_MM, Phantom
from tests.support.receivers import acceptors, echo_once, send
from tests.support.rows import add_job, add_series, add_study, done

pytestmark = pytest.mark.slow  # starts a receiver for each test


def read(port: int) -> dict[tuple[str, str], float]:
    """Read the page: by metric and the values of its labels."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    return {
        (sample.name, " ".join(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_page_sums_what_all_processes_counted(settings: Settings, database: Database) -> None:
    datasets = Phantom(FEW_MM).datasets
    given = {"metrics_port": 0, "acceptors": 2, "callers": "CT1@127.0.0.0/8"}
    with acceptors(settings.home, **given) as ports:
        wanted = settings.model_copy(update={"metrics_port": 0})
        life = receiver_life(wanted, database, lambda: 2)
        pages = serve_metrics(wanted, database, life)
        life.look()
        assert pages is not None
        port = pages.port
        before = read(port).get(("triage_associations_total", "accepted"), 0)
        send(ports["plain"], datasets)
        for _ in range(3):
            echo_once(ports["plain"], "CT9")
        found = read(port)
    assert found["triage_associations_total", "accepted"] == before + 1
    assert found["triage_associations_total", "calling AE title not recognised"] == 3
    assert found["triage_objects_total", "0x0000 C-STORE"] == len(datasets)
    assert found["triage_object_bytes_total", ""] > len(datasets) * 64 * 64 * 2
    assert found["triage_inbox_objects", ""] == len(datasets)
    assert found["triage_associations_open", ""] == 0
    assert found["triage_storage_free_bytes", ""] > 0
    assert found["triage_storage_up", ""] == 1
    assert found["triage_rejections_total", "127.0.0.1 CT9 calling AE title not recognised"] == 3
    pages.close()


def test_the_page_says_what_waits(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        study = add_study(session)
        add_job(add_series(study, session), session)
        add_job(add_series(study, session), session, **done(Outcome.NEGATIVE, 4))
    settings.storage.mkdir(parents=True, exist_ok=True)
    gauges = {
        (sample.name, *sample.labels.values()): sample.value
        for family in StandingCollector(settings, database).collect()
        for sample in family.samples
    }
    assert gauges["triage_jobs", "READY"] == 1
    assert gauges["triage_jobs", "RUNNING"] == 0
    assert gauges["triage_oldest_job_seconds",] > 86_400
    assert gauges["triage_database_up",] == 1


def test_the_page_says_how_long_the_oldest_object_waits_for_its_row(
    settings: Settings, database: Database
) -> None:
    life = receiver_life(settings, database, lambda: 1)
    Inbox(settings.storage, 0)
    life.look()
    assert files(settings, life)["triage_oldest_inbox_object_seconds"] == 0
    folder = Inbox(settings.storage, 0).open_association("CT1", "127.0.0.1")
    for number, age_s in enumerate((3600, 0)):
        path = folder.path / f"{number}.dcm"
        path.touch()
        os.utime(path, (time.time() - age_s,) * 2)
    assert 3600 <= files(settings, life)["triage_oldest_inbox_object_seconds"] < 7200


def files(settings: Settings, life: Life) -> dict[str, float]:
    families = FilesCollector(settings, life).collect()
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_it_is_off_by_default(settings: Settings, database: Database) -> None:
    life = receiver_life(settings, database, lambda: 1)
    assert serve_metrics(settings, database, life) is None


def test_a_receiver_is_ready_while_it_can_take_images(
    settings: Settings, database: Database
) -> None:
    processes = 0
    life = receiver_life(settings, database, lambda: processes)
    life.look()
    assert set(life.missing) == {"storage", "acceptors"}
    (settings.storage / "inbox").mkdir(parents=True)
    processes = 2
    life.look()
    assert life.missing == {}


def test_receivers_of_one_host_are_known_by_their_ports(
    settings: Settings, database: Database
) -> None:
    own = settings.model_copy(update={"dicom_port": 104, "tls_port": 2762})
    receiver_life(own, database, lambda: 1).sign()
    with database.reading() as session:
        assert session.scalars(select(Process.instance)).one() == "ports 104 2762"


def test_a_storage_that_is_away_takes_no_other_metric_along(
    settings: Settings, database: Database
) -> None:
    life = receiver_life(settings, database, lambda: 1)
    life.look()
    collectors = (StorageCollector(settings, life), FilesCollector(settings, life))
    samples = {
        sample.name: sample.value
        for collector in (*collectors, StandingCollector(settings, database))
        for family in collector.collect()
        for sample in family.samples
    }
    assert samples["triage_storage_up"] == 0
    assert samples["triage_database_up"] == 1
    assert "triage_inbox_objects" not in samples
