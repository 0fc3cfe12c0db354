"""`python -m schema check`: who works, what waits, what came last, and what it must not touch."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.operation import describe, read_operation
from schema.settings import Settings
from schema.states import JobState, Outcome
from tests.support.rows import add_job, add_series, add_study, done

LEASE_S = 30


def said(session: Session) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for name, line in describe(read_operation(session, LEASE_S)):
        lines.setdefault(name, []).append(line)
    return lines


def check(home: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "schema", "check"],
        env={"PATH": "", "TRIAGE_HOME": str(home), **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_empty_tables_say_that_nothing_came_yet(database: Database) -> None:
    with database.reading() as session:
        assert said(session) == {
            "worker": ["none has taken a job yet"],
            "waiting": ["no job"],
            "received": ["nothing that is still here"],
            "last hour": ["no study went unanalysed"],
        }


def test_workers_waiting_jobs_and_the_last_image_are_named(database: Database) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        ended = done(Outcome.NEGATIVE, 0, owner="gpu1:7:1:a", model="munet 1")
        ended["finished_at"] = now - timedelta(minutes=5)
        series = [add_series(add_study(session, f"1.2.{number}"), session) for number in range(3)]
        add_job(series[0], session, **ended)
        running = add_job(series[1], session, owner="gpu1:8:2:a")
        running.state, running.lease_until = JobState.RUNNING, now + timedelta(seconds=LEASE_S - 10)
        waiting = add_job(series[2], session, waits_for="StorageAwayError")
        waiting.created_at = now - timedelta(minutes=3)
        series[2].instances[0].received_at = now - timedelta(minutes=2)
        session.flush()
        lines = said(session)
    (worker,) = lines["worker"]
    assert worker.startswith("gpu1: munet 1, last sign of life 0:00:1")
    assert worker.endswith(" ago, 1 running")
    (job,) = lines["waiting"]
    assert job.startswith(f"job {waiting.id}, made 0:03:0")
    assert job.endswith("waits for StorageAwayError")
    assert lines["received"][0].startswith("last image 0:02:0")


def test_what_went_unanalysed_in_the_last_hour_is_counted_by_reason(database: Database) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        for number, minutes in enumerate((1, 50, 70)):
            study = add_study(session, f"1.2.{number}")
            study.outcome, study.reason = Outcome.NOT_ANALYSED, "no stack of slices"
            study.finished_at = now - timedelta(minutes=minutes)
        session.flush()
        assert said(session)["last hour"] == ["2 x NOT_ANALYSED: no stack of slices"]


def test_the_check_makes_no_storage_and_says_that_there_is_none(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    ended = check(tmp_path, TRIAGE_STORAGE_DIR=str(storage))
    assert f"storage   FAILED: storage {storage}: not mounted" in ended.stdout
    assert ended.returncode == 1
    assert not storage.exists()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_check_prints_storage_and_tables(settings: Settings) -> None:
    (settings.storage / "inbox").mkdir(parents=True)
    lines = check(settings.home).stdout.splitlines()
    assert f"storage   ok ({settings.storage})" in lines
    assert "worker    none has taken a job yet" in lines
