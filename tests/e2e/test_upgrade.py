"""From release 0.1.0 to this one and back while studies arrive: each has one outcome, once."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom import dcmread

from receiver.inbox import Inbox
from receiver.protocol.file_meta import encode_file_meta
from schema.database import Standing, connect, standing
from schema.dicom import DimsePriority
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.tables import Finding, Instance, Job, ResultObject, Series, Study
from tests.support.models import tiny_model
from tests.support.phantoms import HEAD_MM, Phantom
from tests.support.processes import Site, free_port, wait_for, wait_until_closed
from tests.support.releases import RELEASE_0_1_0, release
from tests.support.scu import CT, EXPLICIT, encode

pytestmark = pytest.mark.slow  # starts two releases of a whole system

GIGABYTE = 10**9
OUTCOMES = {Outcome.POSITIVE, Outcome.NEGATIVE, Outcome.INDETERMINATE}
DEADLINE_S = 600
# Transactions on PostgreSQL whose client has said nothing for a while.
HELD = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
and state like 'idle in transaction%' and state_change < clock_timestamp() - interval '0.8 seconds'
"""


class Hospital:
    """One database, storage and broker, and the programs of two releases on them."""

    def __init__(self, old: Site, new: Site, folder: Path) -> None:
        self.old, self.new = old, new
        self._folder = folder
        self.studies = 0

    def scan(self, count: int, *, late: int = 0) -> list[str]:
        """Send heads to whichever receiver runs, without the last slices of each."""
        uids = []
        for _ in range(count):
            paths = self._write()
            assert set(self.new.send(paths[: len(paths) - late])) == {0x0000}
            uids.append(f"1.2.{self.studies}")
        return uids

    def leave_in_the_inbox(self) -> None:
        """Acknowledge a head as an acceptor of this release that is killed before the catalogue."""
        folder = Inbox(self.new.settings.storage, 0).open_association("CT1", "127.0.0.1")
        for path in self._write():
            ds = dcmread(path)
            meta = encode_file_meta(CT, ds.SOPInstanceUID, EXPLICIT, "IHSNET_STAT")
            incoming = folder.begin(meta, GIGABYTE)
            incoming.write(memoryview(encode(ds)))
            incoming.keep(DimsePriority.HIGH)
        folder.close()

    def send_late(self, uid: str, count: int) -> None:
        """Send the last slices of a head that was sent without them."""
        paths = sorted((self._folder / uid).glob("*.dcm"))[-count:]
        assert set(self.new.send(paths)) == {0x0000}

    def _write(self) -> list[Path]:
        self.studies += 1
        uid = f"1.2.{self.studies}"
        head = Phantom(
            HEAD_MM, size=128, spacing_mm=1.2, skull=True, study=uid,
            changes={"ConvolutionKernel": "H31s"},
        )  # fmt: skip
        return head.write(self._folder / uid)

    def run(self, site: Site, *command: str) -> str:
        """Run a command of one of the releases to its end; give what it said."""
        part = site.start(sys.executable, "-m", *command)
        assert part.wait(DEADLINE_S) == 0, site.log.read_text()[-2000:]
        site.parts.remove(part)
        return site.log.read_text()

    def jobs(self, *states: JobState) -> int:
        """Count the jobs that are in one of these states."""
        with self.new.database.reading() as session:
            query = sa.select(sa.func.count(Job.id)).where(Job.state.in_(states))
            return session.scalar(query) or 0

    def wait_until_all_ended(self) -> None:
        def ended() -> bool:
            with self.new.database.reading() as session:
                states = session.scalars(sa.select(Study.state)).all()
            return len(states) == self.studies and set(states) == {StudyState.DONE}

        wait_for(f"end of {self.studies} studies", ended, DEADLINE_S)


@pytest.fixture(params=["sqlite", "postgresql"])
def hospital(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hospital]:
    program = release(RELEASE_0_1_0, tmp_path / "release")
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("new_postgresql_url")
    settings = Settings(
        _env_file=None,
        home=tmp_path / "home",
        database_url=url,
        callers="*@127.0.0.0/8",
        dicom_port=free_port(),
        model=tiny_model(tmp_path / "tiny.safetensors"),
        series_quiet_s=0.2,
        series_silence_s=10,
        sweep_s=0.05,
        redispatch_s=2,
        lease_s=10,
        min_free_mb=0,
    )
    database = connect(settings)
    new = Site(settings, database, tmp_path / "new.log")
    old = replace(new, log=tmp_path / "old.log", parts=[], program=program)
    for site in (old, new):
        site.log.touch()
    hospital = Hospital(old, new, tmp_path / "heads")
    yield hospital
    for part in list(old.parts):
        old.kill(part)
    new.stop()
    database.engine.dispose()
    for site in (old, new):
        sys.stdout.write(f"--- {site.log.name}\n{site.log.read_text()[-20000:]}")


def pause_with_a_job(hospital: Hospital, worker: "subprocess.Popen[bytes]") -> None:
    """Stop a worker in the middle of a job, and not of a transaction: an upgrade waits for that."""

    def paused() -> bool:
        if not hospital.jobs(JobState.RUNNING):
            return False
        os.killpg(worker.pid, signal.SIGSTOP)
        if is_free(hospital.old):
            return True
        os.killpg(worker.pid, signal.SIGCONT)
        return False

    wait_for("pause with a job", paused)


def is_free(site: Site) -> bool:
    """Say whether nobody holds a transaction open; what a moment's work holds is free soon."""
    if not site.settings.embedded:
        time.sleep(1)
        with site.database.reading() as session:
            return session.scalar(sa.text(HELD)) == 0
    connection = sqlite3.connect(sa.make_url(site.settings.database).database or "", timeout=2)
    with closing(connection), suppress(sqlite3.OperationalError):
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
        return True
    return False


@pytest.mark.timeout(3 * DEADLINE_S)
def test_an_upgrade_and_the_way_back_while_studies_arrive_leave_each_with_one_outcome(
    hospital: Hospital,
) -> None:
    old, new = hospital.old, hospital.new
    hospital.run(old, "schema", "upgrade")
    receiver, old_worker = old.start_receiver(), old.start_worker("-P", "solo")
    hospital.scan(4)
    pause_with_a_job(hospital, old_worker)
    assert hospital.jobs(JobState.READY, JobState.RUNNING)

    # Forward: first the tables, under the old programs; then a new worker beside the old one.
    hospital.run(new, "schema", "upgrade")
    assert standing(new.database) is Standing.CURRENT
    os.killpg(old_worker.pid, signal.SIGCONT)
    hospital.scan(2)
    new_worker = new.start_worker("-P", "solo")
    old.kill(receiver)
    wait_until_closed(new.settings.dicom_port)
    receiver = new.start_receiver()
    hospital.scan(2)
    (incomplete,) = hospital.scan(1, late=3)
    new.wait_until(StudyState.DONE, incomplete)

    # Back: the new programs die in the middle of it, and what they left is the old ones'.
    new.kill(receiver)
    wait_until_closed(new.settings.dicom_port)
    hospital.leave_in_the_inbox()
    receiver = old.start_receiver()
    hospital.scan(2)
    wait_for("running job", lambda: hospital.jobs(JobState.RUNNING))
    new.kill(new_worker)
    second = old.start_worker("-P", "solo")
    hospital.send_late(incomplete, 3)
    hospital.scan(2)
    hospital.wait_until_all_ended()
    assert "newer than this program, which may still run on it" in hospital.run(
        old, "schema", "check"
    )

    # And forward again, onto tables that are there already.
    for part in (receiver, old_worker, second):
        old.kill(part)
    wait_until_closed(new.settings.dicom_port)
    hospital.run(new, "schema", "upgrade")
    new.start_receiver()
    new.start_worker("-P", "solo")
    hospital.scan(2)
    hospital.wait_until_all_ended()
    assert_each_has_one_outcome(hospital, incomplete)


def assert_each_has_one_outcome(hospital: Hospital, reopened: str) -> None:
    slices = len(HEAD_MM) * hospital.studies
    with hospital.new.database.reading() as session:
        studies = session.scalars(sa.select(Study)).all()
        assert {study.outcome for study in studies} <= OUTCOMES
        assert session.scalar(sa.select(sa.func.count(Instance.id))) == slices
        series = session.scalars(sa.select(Series)).all()
        assert {each.state for each in series} == {SeriesState.SELECTED}
        for each in series:
            done = sorted(job.revision for job in each.jobs if job.state == JobState.DONE)
            # A receiver that is killed before it saw the release leaves what looks aborted: the
            # next one begins a revision to say so, before the first was analysed.
            assert len(set(done)) == len(done) == 1 + (each.study.study_instance_uid == reopened)
            assert done[-1] == each.revision
            assert {job.state for job in each.jobs} == {JobState.DONE}
        twice = sa.select(Finding.job_id).group_by(Finding.job_id).having(sa.func.count() != 6)
        assert session.scalars(twice).all() == []
        objects = sa.select(ResultObject.job_id, ResultObject.sop_instance_uid)
        rows = session.execute(objects).all()
        assert len(rows) == len(set(rows))
