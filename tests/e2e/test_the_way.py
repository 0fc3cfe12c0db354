"""The whole way with real parts: receiver, Redis, Celery worker and database."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from schema.broker import client
from schema.database import Database
from schema.settings import Settings
from schema.states import Outcome, StudyState
from schema.tables import Finding, Instance, Job, Series, Study
from tests.support.models import tiny_model
from tests.support.phantoms import Phantom, element, write
from tests.support.processes import Site, site_of, wait_for

pytestmark = pytest.mark.slow  # starts a whole system

SLICES_MM = tuple(np.arange(-35.0, 35.1, 5.0).tolist())
OUTCOMES = {Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE}


def head(number: int, **changes: object) -> Phantom:
    """Scan a small head as its own study; `changes` are attributes that differ."""
    given: Mapping[str, object] = {"ConvolutionKernel": "H31s", "PatientName": "Water^Walter"}
    return Phantom(
        SLICES_MM, size=128, spacing_mm=1.2, skull=True, study=f"1.2.{number}",
        changes=given | changes,
    )  # fmt: skip


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Site]:
    model = tiny_model(tmp_path / "tiny.safetensors")  # the shipped one: test_names, test_canary
    with site_of(settings, database, tmp_path / "log", model=model) as site:
        yield site


def only_one_result(site: Site) -> bool:
    """Say whether nothing is there twice."""
    return (site.count(Job), site.count(Finding)) == (site.count(Study), 6 * site.count(Study))


def test_a_pushed_series_gets_an_outcome_once_however_often_it_is_sent(
    site: Site, tmp_path: Path
) -> None:
    paths = head(1).write(tmp_path / "head")
    site.start_receiver()
    site.start_worker()
    assert set(site.send(paths)) == {0x0000}
    entry = site.wait_until(StudyState.DONE, "1.2.1")
    assert entry.outcome in OUTCOMES
    assert set(site.send(paths)) == {0x0000}
    wait_for("empty inbox", lambda: not list((site.settings.storage / "inbox").iterdir()))
    assert site.count(Instance) == len(paths)
    assert only_one_result(site)
    assert site.wait_until(StudyState.DONE, "1.2.1").revision == 1


def test_studies_wait_for_a_stopped_worker_through_an_emptied_and_a_killed_redis(
    site: Site, tmp_path: Path
) -> None:
    site.start_receiver()
    for number in (1, 2, 3):
        site.send(head(number).write(tmp_path / str(number)))
        site.wait_until(StudyState.READY, f"1.2.{number}")
    with client(site.settings) as connection:
        connection.flushall()
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)
    site.start_worker()
    for number in (1, 2, 3):
        assert site.wait_until(StudyState.DONE, f"1.2.{number}").outcome in OUTCOMES
    assert only_one_result(site)


def test_a_worker_killed_in_the_middle_is_followed_by_another_and_the_result_is_there_once(
    site: Site, tmp_path: Path
) -> None:
    site.start_receiver()
    first = site.start_worker()
    site.send(head(1).write(tmp_path / "head"))
    site.wait_until(StudyState.RUNNING, "1.2.1")
    site.kill(first)
    site.start_worker()
    assert site.wait_until(StudyState.DONE, "1.2.1").outcome in OUTCOMES
    with site.database.reading() as session:
        assert session.query(Job).one().attempts == 2
    assert only_one_result(site)


def test_a_receiver_killed_after_success_catalogues_what_it_acknowledged(
    site: Site, tmp_path: Path
) -> None:
    receiver = site.start_receiver()
    paths = head(1).write(tmp_path / "head")
    assert set(site.send(paths)) == {0x0000}
    site.kill(receiver)
    site.start_receiver()
    wait_for("catalogued study", lambda: site.count(Instance) == len(paths))


def spoiled(number: int, folder: Path, **changes: object) -> list[Path]:
    """Write a study in which one slice differs."""
    datasets = head(number).datasets
    for keyword, value in changes.items():
        datasets[4][keyword] = element(keyword, value)
    return write(datasets, folder)


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_bad_studies_fail_alone_with_a_reason_and_hold_up_nobody(
    site: Site, tmp_path: Path
) -> None:
    neighbour = head(3).datasets[5].ImagePositionPatient
    bad = [
        spoiled(1, tmp_path / "1", PixelData=b"\0\0"),
        head(2).write(tmp_path / "2")[:1],
        spoiled(3, tmp_path / "3", ImagePositionPatient=neighbour),
        spoiled(4, tmp_path / "4", ImagePositionPatient=["nan", "0", "0"]),
        head(5, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]).write(tmp_path / "5"),
    ]
    site.start_receiver()
    site.start_worker()
    for paths in bad:
        assert set(site.send(paths)) == {0x0000}
    site.send(head(6).write(tmp_path / "6"))
    *failed, good = [site.wait_until(StudyState.DONE, f"1.2.{n}") for n in range(1, 7)]
    for entry in failed:
        assert entry.outcome in {Outcome.NOT_ANALYSED, Outcome.FAILED}, entry
        assert entry.priority == 0
        assert entry.reason
    assert good.outcome in OUTCOMES


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_late_slice_makes_a_second_revision(site: Site, tmp_path: Path) -> None:
    paths = head(1).write(tmp_path / "head")
    site.start_receiver()
    site.start_worker()
    site.send(paths[:-1])
    site.wait_until(StudyState.DONE, "1.2.1")
    site.send(paths[-1:])
    wait_for("second result", lambda: site.count(Job) == 2)
    entry = site.wait_until(StudyState.DONE, "1.2.1")
    assert entry.revision == 2
    assert site.count(Series) == 1


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_no_patient_is_named_in_a_log_line_or_a_file_name(site: Site, tmp_path: Path) -> None:
    changes = {"PatientName": "Geheimrat^Anna", "PatientID": "GEHEIM-4711"}
    site.start_receiver()
    site.start_worker()
    site.send(head(1, **changes).write(tmp_path / "head"))
    site.wait_until(StudyState.DONE, "1.2.1")
    names = "\n".join(str(path) for path in site.settings.home.rglob("*"))
    for trace in (site.log.read_text(), names):
        assert trace
        assert "geheim" not in trace.lower()
