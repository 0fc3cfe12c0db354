"""STAT first, and nobody waits for ever: from what a sender says to the job that a worker takes."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.catalogue.intake import Catalogue
from receiver.dispatch.jobs import new_job
from receiver.dispatch.order import load_order
from receiver.inbox import Inbox
from receiver.instance.header import read_header
from receiver.protocol.file_meta import encode_file_meta
from schema.database import PROGRAM, Database, read_clock
from schema.dicom import DimsePriority
from schema.errors import StorageAwayError
from schema.queue import read_queue
from schema.settings import Settings
from schema.states import JobState, Outcome
from schema.studies import update_study
from schema.tables import Job, Series
from tests.support.receivers import acceptors
from tests.support.rows import add_job, add_series, add_study
from tests.support.scu import CT, EXPLICIT, Scu, encode, image
from worker.lease import Lease, claim
from worker.results import record_failure, requeue
from worker.turns import Turns
from worklist.explaining import read_explanation
from worklist.queueing import name_place

GIGABYTE = 10**9


class Queue:
    """Jobs in a database, and the worker that takes them by a clock that a test turns."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.now = self.start = database.now()
        self.worker = Turns(lambda _session: self.now)
        self.names: dict[int, str] = {}

    def add(self, name: str, weight: float = 0, **columns: Any) -> int:
        """Let a study be ready now."""
        with self.database.transaction() as session:
            study = add_study(session, f"1.2.{len(self.names)}")
            given = {"overdue_at": self.now + timedelta(minutes=30)} | columns
            job = add_job(add_series(study, session), session, weight=weight, **given)
            job.created_at = job.due_at = self.now
            session.flush()
            self.names[job.id] = name
            return job.id

    def take(self, named: int = 0) -> Lease | None:
        return self.worker.take(self.database, named, self.settings)

    def analyse(self, named: int = 0) -> str | None:
        """Take a job and end it; give its name."""
        lease = self.take(named)
        if lease is None:
            return None
        record_failure(self.database, lease, Outcome.NOT_ANALYSED, "no head")
        return self.names[lease.job_id]

    def pass_minutes(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture
def queue(settings: Settings, database: Database) -> Queue:
    return Queue(settings, database)


def test_the_most_urgent_is_taken_whichever_job_the_message_names(queue: Queue) -> None:
    routine = queue.add("routine")
    queue.pass_minutes(1)
    queue.add("stat", 100)
    queue.add("later stat", 100)
    assert [queue.analyse(routine) for _ in range(4)] == ["stat", "later stat", "routine", None]


def test_a_routine_study_is_taken_after_half_an_hour_although_stat_never_ends(
    queue: Queue,
) -> None:
    queue.add("routine")
    taken: list[str | None] = []
    while "routine" not in taken:
        queue.add(f"stat {len(taken)}", 100)
        taken.append(queue.analyse())
        queue.pass_minutes(1)
    assert queue.now - queue.start <= timedelta(minutes=32)
    assert len(taken) >= 30


def test_a_stat_head_waits_for_one_study_although_all_others_wait_too_long(queue: Queue) -> None:
    for number in range(20):
        queue.add(f"routine {number}")
    queue.pass_minutes(45)
    queue.add("stat", 100)
    assert [queue.analyse() for _ in range(3)] == ["routine 0", "stat", "routine 1"]


def test_the_order_that_is_told_is_the_order_in_which_a_worker_takes(queue: Queue) -> None:
    for number in range(12):
        queue.add(f"study {number}", weight=(number % 3) * 50)
        queue.pass_minutes(5)
    with queue.database.reading() as session:
        told = [queue.names[job.id] for job in read_queue(session, queue.now)]
    assert [queue.analyse() for _ in told] == told


def test_what_is_peeked_at_is_what_is_taken_next(queue: Queue) -> None:
    for number in range(6):
        queue.add(f"study {number}", weight=(number % 3) * 50)
        queue.pass_minutes(15)
    for _ in range(6):
        peeked = queue.worker.peek(queue.database)
        assert peeked is not None
        assert queue.names[peeked] == queue.analyse()
    assert queue.worker.peek(queue.database) is None


def test_a_job_that_was_put_back_waits_for_its_pause_unless_its_message_comes(
    queue: Queue,
) -> None:
    stat = queue.add("stat", 100)
    lease = queue.take()
    assert lease is not None
    requeue(queue.database, lease, StorageAwayError("away"), queue.settings)
    queue.add("routine")
    assert queue.analyse() == "routine"
    assert queue.analyse() is None
    assert queue.analyse(stat) == "stat"


def test_a_job_whose_worker_went_silent_has_its_place_in_the_order(queue: Queue) -> None:
    queue.add("interrupted")
    lease = queue.take()
    assert lease is not None
    with queue.database.transaction() as session:
        session.get_one(Job, lease.job_id).lease_until = queue.now - timedelta(seconds=1)
    queue.pass_minutes(1)
    queue.add("routine")
    queue.add("stat", 100)
    assert [queue.analyse() for _ in range(3)] == ["stat", "interrupted", "routine"]


def test_jobs_of_a_release_without_an_order_are_not_forgotten(queue: Queue) -> None:
    """What release 0.1.0 writes: the new columns have what the database gives them."""
    queue.add("new", 0)
    with queue.database.transaction() as session:
        series = add_series(add_study(session, "1.9"), session)
        columns = ("series_id", "revision", "state", "created_at", "due_at")
        known = (*columns, "attempts", "token", "worker_faults", "priority")
        values = (series.id, 1, JobState.READY, queue.now, queue.now, 0, 0, 0, 0)
        table = sa.table("job", *(sa.column(name, Job.__table__.c[name].type) for name in known))
        session.execute(sa.insert(table).values(dict(zip(known, values, strict=True))))
        old = session.scalars(sa.select(Job).where(Job.series_id == series.id)).one()
        assert (old.weight, old.overdue_at) == (0, None)
        update_study(session, series.study)
        queue.names[old.id] = "old"
    assert sorted(filter(None, [queue.analyse(), queue.analyse()])) == ["new", "old"]


def test_a_job_that_needs_a_later_program_is_left_to_a_worker_that_has_it(queue: Queue) -> None:
    later = queue.add("later", 100, needs_program=PROGRAM + 1)
    queue.add("ours", needs_program=PROGRAM)
    assert [queue.analyse(later), queue.analyse(later)] == ["ours", None]
    assert claim(queue.database, later, queue.settings) is None


def test_of_many_workers_each_has_a_job_of_its_own(queue: Queue) -> None:
    for number in range(8):
        queue.add(f"study {number}", weight=100)
    start = threading.Barrier(8)

    def race(_: int) -> int | None:
        start.wait()
        lease = Turns().take(queue.database, 0, queue.settings)
        return None if lease is None else lease.job_id

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(race, range(8)))
    assert sorted(filter(None, taken)) == sorted(queue.names)


def test_how_a_series_was_sent_and_asked_for_becomes_the_weight_of_its_job(
    settings: Settings, database: Database
) -> None:
    folder = Inbox(settings.storage, 0).open_association("CT_ER", "127.0.0.1")
    asked = {"RequestedProcedurePriority": "STAT", "InstitutionalDepartmentName": "ZNA"}
    for number, priority in enumerate((DimsePriority.MEDIUM, DimsePriority.HIGH)):
        uid = f"1.2.3.9.{number}"
        incoming = folder.begin(encode_file_meta(CT, uid, EXPLICIT, "IHSNET_STAT"), GIGABYTE)
        incoming.write(memoryview(encode(image(uid, **asked))))
        incoming.keep(priority)
    folder.close()
    Catalogue(database, settings.storage).take_in()
    with database.transaction() as session:
        series = session.scalars(sa.select(Series)).one()
        job = new_job(session, series, load_order(), read_clock(session))
        assert (job.weight, (job.weighed or {}).get("version")) == (400, "1")
        assert [reason["says"] for reason in (job.weighed or {})["reasons"]] == [
            "called AE *STAT*", "DIMSE priority HIGH", "requested priority STAT", "location ZNA",
        ]  # fmt: skip
        assert job.overdue_at == job.created_at + timedelta(minutes=30)


def test_a_sender_says_its_priority_and_our_title_over_dicom(tmp_path: Path) -> None:
    with acceptors(tmp_path, more_ae_titles="IHSNET_STAT") as ports:
        with Scu(ports["plain"], called="IHSNET_STAT") as scu:
            for number, priority in enumerate((b"\1\0", b"\2\0", b"\0\0", b"\7\0", b"?")):
                uid = f"1.2.3.9.{number}"
                scu.begin_store(CT, uid, priority=priority)
                scu.send_data(encode(image(uid)), is_last=True)
                assert scu.status() == 0
            scu.release()
        kept = sorted((tmp_path / "storage" / "inbox").glob("*/*.dcm"))
    assert [path.stem.partition("-")[2] for path in kept] == ["high", "low", "", "", ""]
    assert {read_header(path).requested.called_ae for path in kept} == {"IHSNET_STAT"}


def test_explain_says_which_place_a_study_has_and_why(queue: Queue) -> None:
    reasons = {"version": "1", "reasons": [{"says": "location ED", "points": 100.0}]}
    queue.add("stat", 100, weighed=reasons)
    queue.add("routine", weighed={"version": "1", "reasons": []})
    stat, routine = (explained(queue, uid) for uid in ("1.2.0", "1.2.1"))
    assert stat.startswith("place 1 of 2; 100 points (location ED +100), order 1; takes turns")
    assert routine.startswith("place 2 of 2; 0 points (nothing speaks for it or against it)")
    assert queue.analyse() == "stat"
    assert explained(queue, "1.2.0") == "100 points (location ED +100), order 1"


def explained(queue: Queue, uid: str) -> str:
    found = read_explanation(queue.database, queue.settings.storage, uid)
    assert found is not None
    return name_place(found.series[0].jobs[0].queue, queue.settings.zone)
