"""`python -m schema check`: who works, what waits, what came last, and what it must not touch."""

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from socket import gethostname

import pytest
from sqlalchemy.orm import Session

from schema.broker import client, ensure_broker
from schema.database import Database, read_clock
from schema.monitoring.rejections import Refused, add_rejections
from schema.monitoring.signs import Model, Part, Sign, give_sign
from schema.operation import read_operation
from schema.operation_lines import describe, describe_lack
from schema.owners import this_process
from schema.settings import Settings
from schema.states import JobState, Outcome, ProcessState
from tests.support.rows import add_job, add_series, add_study

LATE_S = 600


def said(session: Session) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for name, line in describe(read_operation(session, LATE_S)):
        lines.setdefault(name, []).append(line)
    return lines


def check(home: Path, *options: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "schema", "check", *options],
        env={"PATH": "", "TRIAGE_HOME": str(home), **given},
        capture_output=True,
        text=True,
        check=False,
    )


def test_empty_tables_say_that_nothing_came_yet(database: Database) -> None:
    with database.reading() as session:
        assert said(session) == {
            "worker": ["none has shown itself"],
            "waiting": ["no job"],
            "received": ["nothing that is still here"],
            "rejected": ["no association in the last hour"],
            "open": ["0 received and not ended, 0 of them late"],
            "last hour": ["no study went unanalysed"],
        }


def test_workers_waiting_jobs_and_the_last_image_are_named(database: Database) -> None:
    host = this_process().partition(":")[0]
    with database.transaction() as session:
        now = read_clock(session)
        give_sign(session, Sign(Part.TRIAGE, ProcessState.READY, None, Model("munet 1", "a" * 64)))
        series = [add_series(add_study(session, f"1.2.{number}"), session) for number in range(2)]
        running = add_job(series[0], session, owner=f"{host}:8:2:a")
        running.state, running.lease_until = JobState.RUNNING, now + timedelta(seconds=20)
        waiting = add_job(series[1], session, waits_for="StorageAwayError")
        waiting.created_at = now - timedelta(minutes=3)
        series[1].instances[0].received_at = now - timedelta(minutes=2)
        session.flush()
        lines = said(session)
    (worker,) = lines["worker"]
    assert worker.startswith(f"{host} ({os.getpid()}): ready, munet 1 aaaaaaaa, version ")
    assert "last sign of life 0:00:" in worker
    assert worker.endswith(" ago, 1 running")
    (job,) = lines["waiting"]
    assert job.startswith(f"job {waiting.id}, made 0:03:0")
    assert job.endswith("waits for StorageAwayError")
    assert lines["received"][0].startswith("last image 0:02:0")


def test_the_oldest_job_says_why_it_waits(database: Database) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        job = add_job(add_series(add_study(session), session), session)

        def causes(**columns: object) -> str:
            for name, value in columns.items():
                setattr(job, name, value)
            session.flush()
            (line,) = said(session)["waiting"]
            return line.partition(" ago, ")[2]

        assert causes() == "no worker is ready"
        give_sign(session, Sign(Part.TRIAGE, ProcessState.READY))
        assert causes() == "no worker has taken it"
        other = add_job(add_series(add_study(session, "1.2.4"), session), session, owner="h:8:2:a")
        other.state, other.lease_until = JobState.RUNNING, now + timedelta(seconds=20)
        assert causes() == "no worker has taken it, 1 other running"
        later = now + timedelta(minutes=2)
        set_aside = causes(last_error="device cuda: out of memory", due_at=later)
        assert re.fullmatch(
            r"set aside for another 0:0[12]:\d\d: device cuda: out of memory", set_aside
        )
        assert causes(due_at=now) == "put back: device cuda: out of memory"
        away = causes(waits_for="StorageAwayError", last_error="storage /srv: not mounted")
        assert away == "waits for StorageAwayError: storage /srv: not mounted"
        assert causes(needs_program=99).endswith("; needs a worker of a later release")


def test_the_job_of_a_host_that_died_waits_and_says_so(database: Database) -> None:
    with database.transaction() as session:
        job = add_job(add_series(add_study(session), session), session, owner="ct-worker2:8:2:a")
        job.state = JobState.RUNNING
        job.lease_until = read_clock(session) - timedelta(seconds=1)
        session.flush()
        operation = read_operation(session, LATE_S)
        (line,) = said(session)["waiting"]
        assert line.endswith("its worker on ct-worker2 went silent; no worker is ready")
        give_sign(session, Sign(Part.TRIAGE, ProcessState.READY))
        (line,) = said(session)["waiting"]
        assert line.endswith(" ago, its worker on ct-worker2 went silent")
    assert (operation.waiting, dict(operation.jobs_by_host)) == (1, {})
    assert "; 1 job waits in the database" in (describe_lack(operation) or "")


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (None, "start one: systemctl start ihsnet-worker, or celery -A worker worker -Q triage"),
        (ProcessState.STOPPED, "start one: "),
        (ProcessState.STARTING, "one starts, ask again in a minute"),
        (ProcessState.NOT_READY, "do what its line above says"),
        (ProcessState.FAILED, "do what its line above says; its supervisor starts it again"),
    ],
)
def test_without_a_ready_worker_it_says_where_jobs_wait_and_what_to_do(
    database: Database, state: ProcessState | None, step: str
) -> None:
    with database.transaction() as session:
        add_job(add_series(add_study(session), session), session)
        if state is not None:
            give_sign(session, Sign(Part.TRIAGE, state))
        session.flush()
        lack = describe_lack(read_operation(session, LATE_S))
    assert lack is not None
    assert lack.startswith(f"none is ready; 1 job waits in the database until one is; {step}")


def test_a_worker_that_is_ready_is_enough_whatever_others_are(database: Database) -> None:
    with database.transaction() as session:
        give_sign(session, Sign(Part.TRIAGE, ProcessState.READY))
        give_sign(session, Sign(Part.RECEIVER, ProcessState.FAILED, "port in use"))
        session.flush()
        assert describe_lack(read_operation(session, LATE_S)) is None


def test_a_worker_that_stopped_says_why_and_other_parts_are_named_too(database: Database) -> None:
    with database.transaction() as session:
        give_sign(session, Sign(Part.TRIAGE, ProcessState.FAILED, "device cuda: out of memory"))
        session.flush()
        (worker,) = said(session)["worker"]
        assert ": failed, no model loaded, " in worker
        assert worker.endswith("ago, device cuda: out of memory")
        give_sign(session, Sign(Part.WORKLIST, ProcessState.NOT_READY, "database: away"))
        session.flush()
        assert ": not ready, version " in said(session)["worklist"][0]


def test_who_was_rejected_in_the_last_hour_is_named_with_the_reason(database: Database) -> None:
    with database.transaction() as session:
        add_rejections(session, {Refused("calling AE title not recognised", "CT9", "10.1.2.9"): 12})
        session.flush()
        assert said(session)["rejected"] == [
            "12 x calling AE title not recognised, by CT9 from 10.1.2.9"
        ]


def test_a_late_study_is_named_by_its_key_and_no_patient(database: Database) -> None:
    with database.transaction() as session:
        study = add_study(session, "1.2.77")
        study.received_at = read_clock(session) - timedelta(minutes=20)
        session.flush()
        lines = said(session)
    assert lines["open"] == ["1 received and not ended, 1 of them late"]
    assert lines["late"][0].startswith("study 1.2.77 is RECEIVING, moved last 0:20:0")
    assert study.patient_name not in str(lines)


def test_a_study_that_moved_at_a_moment_to_come_is_late_and_the_clock_is_named(
    database: Database,
) -> None:
    with database.transaction() as session:
        study = add_study(session, "1.2.77")
        study.received_at = read_clock(session) + timedelta(hours=1)
        session.flush()
        lines = said(session)
    assert lines["open"] == ["1 received and not ended, 1 of them late"]
    (late,) = lines["late"]
    assert late.endswith(" from now, by a clock that was set back")


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
    assert f"storage   FAILED: storage {storage} on {gethostname()}: not mounted" in ended.stdout
    assert ended.returncode == 1
    assert not storage.exists()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_check_prints_storage_and_tables(settings: Settings) -> None:
    (settings.storage / "inbox").mkdir(parents=True)
    lines = check(settings.home).stdout.splitlines()
    assert f"storage   ok ({settings.storage}) as seen from {gethostname()}" in lines
    assert "worker    none has shown itself" in lines


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_the_exit_status_tells_no_worker_from_what_does_not_answer(
    settings: Settings, database: Database
) -> None:
    (settings.storage / "inbox").mkdir(parents=True)
    ensure_broker(settings)
    try:
        ended = check(settings.home, "--ready")
        assert (ended.returncode, check(settings.home).returncode) == (3, 0)
        assert ended.stdout.splitlines()[-1].startswith("worker    FAILED: none is ready; ")
        with database.transaction() as session:
            give_sign(session, Sign(Part.TRIAGE, ProcessState.READY))
        assert check(settings.home, "--ready").returncode == 0
    finally:
        with client(settings) as connection:
            connection.shutdown(nosave=True)
    assert check(settings.home, "--ready").returncode == 1


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_host_that_was_taken_away_is_forgotten_by_a_command(
    settings: Settings, database: Database
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "schema", "forget", "gpu7"],
        env={"PATH": "", "TRIAGE_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "0 forgotten of gpu7\n"
