"""Two workers beside each other: what befalls one of them is never an outcome of a study."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from celery import Celery

from schema.database import Database
from schema.messages import TRIAGE_QUEUE
from schema.monitoring.signs import Part, Running, read_running
from schema.settings import Settings
from schema.states import Outcome, StudyState
from schema.storage import require_storage
from schema.tables import Finding, Instance, Job, Study
from tests.support.jobs import add_studies, ended, job_of, was_taken_over
from tests.support.models import tiny_model
from tests.support.phantoms import FEW_MM
from tests.support.processes import Site, site_of, wait_for

pytestmark = pytest.mark.slow  # starts a whole system

STUDIES = 200
DEADLINE_S = 1500  # two workers on two busy cores; seconds a study at the worst
LEASE_S = 10.0


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Site]:
    """A site with a model of almost nothing, so that the queue and not the network is at work."""
    model = tiny_model(tmp_path / "tiny.safetensors")
    changes = {"model": model, "lease_s": LEASE_S, "redispatch_s": 2.0}
    with site_of(settings, database, tmp_path / "log", **changes) as site:
        require_storage(site.settings, 0)
        yield site


def wait_for_ends(site: Site, count: int) -> None:
    wait_for(f"{count} ends", lambda: ended(site) >= count, DEADLINE_S)


def pause_past_the_lease(site: Site, worker: "subprocess.Popen[bytes]") -> None:
    """Stop a worker's processes in the middle of a job until another has it."""

    def stopped() -> tuple[int, int] | None:
        os.killpg(worker.pid, signal.SIGSTOP)
        if (held := job_of(site, worker)) is None:
            os.killpg(worker.pid, signal.SIGCONT)
        return held

    held = wait_for("job to stop in", stopped)
    wait_for("another to take it over", lambda: was_taken_over(site, *held))
    os.killpg(worker.pid, signal.SIGCONT)


@pytest.mark.timeout(2 * DEADLINE_S)
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_two_hundred_studies_end_once_each_and_none_fails_whatever_befalls_a_worker(
    site: Site, tmp_path: Path
) -> None:
    add_studies(site, STUDIES)
    mount = tmp_path / "mount"
    mount.symlink_to(site.settings.storage)
    site.start_receiver()

    sick = site.start_worker(TRIAGE_OPERATING_POINT="typo")
    first, second = site.start_worker(), site.start_worker(TRIAGE_STORAGE_DIR=str(mount))
    assert sick.wait(DEADLINE_S) == 2

    wait_for_ends(site, STUDIES // 10)
    wait_for("job to kill", lambda: job_of(site, first))
    site.kill(first)
    first = site.start_worker()
    wait_for_ends(site, 2 * STUDIES // 10)
    pause_past_the_lease(site, first)

    wait_for_ends(site, 4 * STUDIES // 10)
    mount.unlink()
    wait_for_ends(site, 6 * STUDIES // 10)
    mount.symlink_to(site.settings.storage)
    wait_for("job of the worker that has its storage back", lambda: job_of(site, second))

    wait_for_ends(site, STUDIES)
    with site.database.reading() as session:
        studies = session.scalars(sa.select(Study)).all()
        assert {study.state for study in studies} == {StudyState.DONE}
        assert Outcome.FAILED not in {study.outcome for study in studies}
        assert None not in {study.outcome for study in studies}
    assert site.count(Job) == STUDIES
    with site.database.reading() as session:
        twice = sa.select(Finding.job_id).group_by(Finding.job_id).having(sa.func.count() > 6)
        assert session.scalars(twice).all() == []
    assert site.count(Instance) == len(FEW_MM) * STUDIES


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_worker_at_fault_stops_with_status_2_and_leaves_the_study_to_a_sound_one(
    site: Site, tmp_path: Path
) -> None:
    add_studies(site, 1)
    site.start_receiver()
    sick = site.start_worker("-P", "solo", TRIAGE_RULES=str(tmp_path / "none.toml"))
    assert sick.wait(DEADLINE_S) == 2
    assert "worker stops: " in site.log.read_text()
    assert "none.toml" in site.log.read_text()
    with site.database.reading() as session:
        assert session.scalars(sa.select(Job.token)).all() == [0]
    site.start_worker()
    wait_for_ends(site, 1)
    with site.database.reading() as session:
        assert session.scalars(sa.select(Study.outcome)).one() != Outcome.FAILED


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_worker_that_falls_ill_later_leaves_the_reason_in_its_sign_of_life(site: Site) -> None:
    def is_shown(condition: str) -> Running | None:
        with site.database.reading() as session:
            shown = [part for part in read_running(session) if part.part == Part.TRIAGE]
        return next((part for part in shown if part.condition == condition), None)

    worker = site.start_worker("-Q", TRIAGE_QUEUE)
    assert wait_for("ready worker", lambda: is_shown("ready")).model.name == "tiny"
    site.settings.model.unlink()
    for child in psutil.Process(worker.pid).children(recursive=True):
        if "spawn_main" in str(child.cmdline()):
            child.kill()  # the next one finds no model
    not_ready = wait_for("worker that is not ready", lambda: is_shown("not_ready"))
    assert not_ready.reason
    add_studies(site, 1)
    site.start_receiver()
    assert worker.wait(DEADLINE_S) == 2
    failed = is_shown("failed")
    assert failed is not None
    assert "tiny.safetensors" in failed.reason
    with site.database.reading() as session:
        assert session.scalars(sa.select(Job.token)).all() == [0]


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_whoever_reaches_the_broker_cannot_tell_a_worker_to_stop_listening(site: Site) -> None:
    add_studies(site, 1)
    site.start_receiver()
    site.start_worker("-P", "solo")
    wait_for_ends(site, 1)
    stranger = Celery(broker=site.settings.broker, set_as_current=False).control
    stranger.cancel_consumer(TRIAGE_QUEUE)
    stranger.broadcast("shutdown")
    assert stranger.ping(timeout=1) == []
    add_studies(site, 1, first=1)
    wait_for_ends(site, 2)
