"""The page as a process: its pages for probes, its sign of life, and what its log leaves out."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schema.database import Database
from schema.monitoring.signs import Running, read_running
from schema.settings import Settings
from tests.support.processes import free_port, wait_for

pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def page(settings: Settings, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    given = {"TRIAGE_HOME": str(settings.home), "TRIAGE_WORKLIST_PORT": str(port)}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "worklist"], env=os.environ | given, stdout=file, stderr=file
        )
    wait_for("page", lambda: answers(port))
    yield process
    process.terminate()
    process.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").status_code == 200
    except httpx.TransportError:
        return False


def shown(database: Database) -> Running | None:
    with database.reading() as session:
        return next(iter(read_running(session)), None)


def is_shown_as(database: Database, condition: str) -> bool:
    running = shown(database)
    return running is not None and running.condition == condition


def test_the_page_shows_that_it_is_ready_and_that_it_ended(
    database: Database, page: subprocess.Popen[bytes], port: int
) -> None:
    assert httpx.get(f"http://127.0.0.1:{port}/health").text == "ok\n"
    wait_for("sign of life", lambda: is_shown_as(database, "ready"))
    running = shown(database)
    assert running is not None
    assert (running.part, running.process_id) == ("worklist", page.pid)
    assert 'triage_ready{part="worklist"} 1.0' in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    page.terminate()
    page.wait()
    assert is_shown_as(database, "stopped")


def test_what_was_searched_for_is_in_no_log(
    page: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    httpx.get(f"http://127.0.0.1:{port}/?search=Quillfeather")
    page.terminate()
    page.wait()
    assert log.read_text()
    assert "Quillfeather" not in log.read_text()
