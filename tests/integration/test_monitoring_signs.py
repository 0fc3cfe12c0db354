"""Signs of life: what each running part leaves in the tables, and what is read of it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from schema.database import Database, read_clock
from schema.monitoring import signs
from schema.monitoring.disk import storage_missing
from schema.monitoring.life import Check, Life
from schema.monitoring.signs import (
    Model,
    Part,
    Running,
    Sign,
    find_missing,
    forget_host,
    give_sign,
    read_running,
)
from schema.owners import this_process
from schema.states import ProcessState
from schema.storage import MARK, NEVER_THERE
from schema.tables import Process

MODEL = Model("munet 1.2", "a" * 64)
READY = Sign(Part.TRIAGE, ProcessState.READY, None, MODEL)


@pytest.fixture
def as_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let this process be another one from now on."""

    def become(owner: str) -> None:
        monkeypatch.setattr(signs, "this_process", lambda: owner)

    return become


def shown(session: Session) -> dict[int, Running]:
    return {running.process_id: running for running in read_running(session)}


def let_pass(session: Session, owner: str, passed: timedelta) -> None:
    """Let the last sign of a process have come so long ago."""
    row = session.scalars(select(Process).where(Process.owner == owner)).one()
    row.alive_at = read_clock(session) - passed
    row.started_at = row.alive_at - timedelta(minutes=1)


def test_an_idle_worker_is_seen_with_its_model(database: Database) -> None:
    with database.transaction() as session:
        give_sign(session, Sign(Part.TRIAGE, ProcessState.STARTING))
        give_sign(session, READY)
    with database.reading() as session:
        (running,) = read_running(session)
    host, process_id, *_ = this_process().split(":")
    assert (running.part, running.host, running.process_id) == ("triage", host, int(process_id))
    assert (running.condition, running.model, running.reason) == ("ready", MODEL, None)
    assert running.started_at <= running.alive_at


def test_what_gives_no_sign_any_more_is_silent(
    database: Database, as_process: Callable[[str], None]
) -> None:
    as_process("gpu1:7:1:a")
    with database.transaction() as session:
        give_sign(session, READY)
        let_pass(session, "gpu1:7:1:a", timedelta(minutes=1))
        session.flush()
        assert shown(session)[7].condition == "silent"


def test_a_worker_at_fault_says_why_until_another_takes_its_place(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        as_process("gpu1:7:1:a")
        give_sign(session, Sign(Part.TRIAGE, ProcessState.FAILED, "CUDA out of memory"))
        failed = shown(session)[7]
        assert (failed.condition, failed.reason, failed.replaced) == (
            "failed",
            "CUDA out of memory",
            False,
        )
        as_process("gpu1:8:1:a")
        give_sign(session, READY)
        session.flush()
        assert shown(session)[7].replaced
        assert not shown(session)[8].replaced


def test_a_part_that_starts_over_and_over_leaves_two_rows(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        for process_id in range(10, 20):
            as_process(f"gpu1:{process_id}:1:a")
            give_sign(session, Sign(Part.TRIAGE, ProcessState.FAILED, "no model"))
            session.flush()
        assert sorted(shown(session)) == [18, 19]


def a_worker(instance: str, fault: str | None = None) -> Sign:
    state = ProcessState.FAILED if fault else ProcessState.READY
    return Sign(Part.TRIAGE, state, fault, instance=instance)


def test_a_worker_at_fault_is_not_replaced_by_another_of_its_host(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        as_process("gpu1:7:1:a")
        give_sign(session, a_worker("triage0@gpu1", "CUDA out of memory"))
        as_process("gpu1:8:1:a")
        give_sign(session, a_worker("triage1@gpu1"))
        session.flush()
        assert not shown(session)[7].replaced
        as_process("gpu1:9:1:a")
        give_sign(session, a_worker("triage0@gpu1"))
        session.flush()
        assert shown(session)[7].replaced


def test_workers_of_one_host_that_end_take_away_no_rows_of_each_other(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        for process_id, number in ((10, 0), (11, 1), (12, 0), (13, 0), (14, 0)):
            as_process(f"gpu1:{process_id}:1:a")
            give_sign(session, a_worker(f"triage{number}@gpu1", "no model"))
            session.flush()
        assert sorted(shown(session)) == [11, 13, 14]


def test_one_of_a_release_that_does_not_say_which_it_is_may_be_any_of_its_host(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        for process_id, instance in ((7, ""), (8, "triage0@gpu1"), (9, "")):
            as_process(f"gpu1:{process_id}:1:a")
            give_sign(session, a_worker(instance, "no model"))
            session.flush()
        assert [row.replaced for row in read_running(session)] == [False, True]


def test_a_part_says_which_of_its_kind_it_is(database: Database) -> None:
    Life(Part.TRIAGE, database, {}, instance="triage0@gpu1").sign()
    with database.reading() as session:
        assert session.scalars(select(Process.instance)).one() == "triage0@gpu1"


def test_another_part_or_host_or_worker_that_lives_is_left_alone(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        for owner, part in [
            ("gpu1:1:1:a", Part.TRIAGE),
            ("gpu2:2:1:a", Part.TRIAGE),
            ("gpu1:3:1:a", Part.DELIVER),
            ("gpu1:4:1:a", Part.TRIAGE),
        ]:
            as_process(owner)
            give_sign(session, Sign(part, ProcessState.READY))
            session.flush()
        assert sorted(shown(session)) == [1, 2, 3, 4]
        assert not any(running.replaced for running in shown(session).values())


def test_a_kind_of_which_nothing_works_for_longer_than_a_week_is_still_missing(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        as_process("gone:7:1:a")
        give_sign(session, READY)
        let_pass(session, "gone:7:1:a", timedelta(days=8))
        as_process("gpu1:8:1:a")
        give_sign(session, Sign(Part.WORKLIST, ProcessState.READY))
        assert find_missing(session, [Part.TRIAGE, Part.RECEIVER]) == (Part.TRIAGE,)


def test_a_row_goes_after_a_week(database: Database, as_process: Callable[[str], None]) -> None:
    with database.transaction() as session:
        as_process("gone:7:1:a")
        give_sign(session, READY)
        let_pass(session, "gone:7:1:a", timedelta(days=7, minutes=1))
        as_process("gpu1:8:1:a")
        give_sign(session, READY)
        session.flush()
        assert sorted(shown(session)) == [8]


def test_a_host_that_was_taken_away_is_forgotten_and_what_lives_is_not(
    database: Database, as_process: Callable[[str], None]
) -> None:
    with database.transaction() as session:
        for owner in ("gpu1:7:1:a", "gpu1:8:1:a"):
            as_process(owner)
            give_sign(session, READY)
        let_pass(session, "gpu1:7:1:a", timedelta(hours=1))
        session.flush()
        assert forget_host(session, "gpu1") == 1
        session.flush()
        assert sorted(shown(session)) == [8]


def test_a_part_is_ready_once_nothing_is_missing_and_says_what_is(database: Database) -> None:
    lacks: dict[str, str | None] = {"storage": "storage /srv: not mounted"}
    life = Life(Part.TRIAGE, database, {"storage": lambda: lacks["storage"]}, lambda: MODEL)
    assert life.missing == {"start": "it starts"}
    life.look()
    life.sign()
    assert life.missing == {"storage": "storage /srv: not mounted"}
    with database.reading() as session:
        (running,) = read_running(session)
    assert (running.condition, running.reason) == ("not_ready", "storage /srv: not mounted")
    lacks["storage"] = None
    life.look()
    assert life.missing == {}


def test_a_part_that_ends_says_how(database: Database) -> None:
    life = Life(Part.TRIAGE, database, {}, interval_s=0.05)
    life.start()
    life.stop("device cuda: out of memory")
    with database.reading() as session:
        (running,) = read_running(session)
    assert (running.condition, running.reason) == ("failed", "device cuda: out of memory")


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_an_idle_part_logs_once_that_the_storage_is_away_and_once_that_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    inbox = tmp_path / MARK
    checks: dict[str, Check] = {
        "storage": lambda: storage_missing(tmp_path),
        "model": lambda: None if inbox.is_dir() else "not loaded",  # starts and ends with the part
    }
    life = Life(Part.TRIAGE, database, checks)
    with capture_logs() as lines:
        for there in (False, True, True, False, False, True, True):
            inbox.mkdir() if there and not inbox.exists() else None
            inbox.rmdir() if not there and inbox.exists() else None
            life.look()
    assert [line["event"] for line in lines] == ["storage is away", "storage is back"]
    assert lines[0]["reason"] == f"storage {tmp_path}: {NEVER_THERE}"
    assert {line["part"] for line in lines} == {"triage"}
