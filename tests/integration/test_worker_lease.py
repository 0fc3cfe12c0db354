import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from schema.database import Database, read_clock
from schema.errors import LeaseLostError
from schema.owners import release_orphans
from schema.settings import Settings
from schema.states import JobState, Outcome, StudyState
from schema.tables import Job
from tests.support.rows import add_job, add_series, add_study
from worker.lease import Heartbeat, Lease, claim, lock_job
from worker.results import record_failure

OWN = "from schema.owners import this_process; print(this_process())"


@pytest.fixture
def job_id(database: Database) -> int:
    with database.transaction() as session:
        return add_job(add_series(add_study(session), session), session).id


def read_job(database: Database, job_id: int) -> Job:
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        assert job.series.study is not None
        return job


def lapse(database: Database, job_id: int) -> None:
    """Let the worker look dead."""
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.lease_until = read_clock(session) - timedelta(seconds=1)


def claimed(database: Database, job_id: int, settings: Settings) -> Lease:
    lease = claim(database, job_id, settings)
    assert lease is not None
    return lease


def test_of_eight_that_claim_at_once_one_wins(
    database: Database, job_id: int, settings: Settings
) -> None:
    start = threading.Barrier(8)

    def race(_: int) -> Lease | None:
        start.wait()
        return claim(database, job_id, settings)

    with ThreadPoolExecutor(8) as pool:
        leases = [lease for lease in pool.map(race, range(8)) if lease]
    assert len(leases) == 1


def test_a_claimed_study_is_running_and_names_its_owner(
    database: Database, job_id: int, settings: Settings
) -> None:
    claimed(database, job_id, settings)
    job = read_job(database, job_id)
    assert job.series.study.state == StudyState.RUNNING
    assert job.owner


def test_a_bell_for_an_unknown_job_does_nothing(database: Database, settings: Settings) -> None:
    assert claim(database, 999, settings) is None


def test_a_job_in_work_cannot_be_claimed(
    database: Database, job_id: int, settings: Settings
) -> None:
    claimed(database, job_id, settings)
    assert claim(database, job_id, settings) is None


def test_a_lapsed_lease_goes_to_the_next_and_the_first_cannot_write(
    database: Database, job_id: int, settings: Settings
) -> None:
    first = claimed(database, job_id, settings)
    lapse(database, job_id)
    second = claimed(database, job_id, settings)
    with pytest.raises(LeaseLostError):
        record_failure(database, first, Outcome.FAILED, "too late")
    with database.transaction() as session:
        assert lock_job(session, second).attempts == 2


def test_a_heartbeat_keeps_the_lease(database: Database, job_id: int, settings: Settings) -> None:
    quick = settings.model_copy(update={"lease_s": 0.3})
    lease = claimed(database, job_id, quick)
    before = read_job(database, job_id).lease_until
    beaten = threading.Event()
    with Heartbeat(database, lease, quick):
        for _ in range(100):
            if read_job(database, job_id).lease_until != before:
                beaten.set()
                break
            beaten.wait(0.02)
    assert beaten.is_set()


def test_a_job_that_always_kills_its_worker_is_given_up_with_a_reason(
    database: Database, job_id: int, settings: Settings
) -> None:
    for _ in range(settings.max_attempts):
        claimed(database, job_id, settings)
        lapse(database, job_id)
    assert claim(database, job_id, settings) is None
    job = read_job(database, job_id)
    assert (job.state, job.series.study.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert job.reason == "given up after 3 attempts: the worker died in the middle of it"


def test_a_job_whose_owner_died_on_this_host_is_taken_over_at_once(
    database: Database, job_id: int, settings: Settings
) -> None:
    claimed(database, job_id, settings.model_copy(update={"lease_s": 600}))
    disown(database, job_id)
    assert claimed(database, job_id, settings).attempt == 2


def test_the_lease_of_a_dead_owner_ends_at_once_so_that_its_message_is_due(
    database: Database, job_id: int, settings: Settings
) -> None:
    claimed(database, job_id, settings.model_copy(update={"lease_s": 600}))
    assert release_orphans(database) == 0
    disown(database, job_id)
    assert release_orphans(database) == 1
    job = read_job(database, job_id)
    assert job.lease_until is not None
    assert max(job.lease_until, job.due_at) <= database.now()
    assert release_orphans(database) == 0


def disown(database: Database, job_id: int) -> None:
    """Let the job belong to a process of this host that has ended."""
    with subprocess.Popen([sys.executable, "-c", OWN], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        owner = one.stdout.read().strip()
    with database.transaction() as session:
        session.get_one(Job, job_id).owner = owner


def test_an_end_without_analysis_is_never_negative(
    database: Database, job_id: int, settings: Settings
) -> None:
    lease = claimed(database, job_id, settings)
    record_failure(database, lease, Outcome.NOT_ANALYSED, "NaN in the geometry")
    study = read_job(database, job_id).series.study
    assert (study.state, study.outcome, study.priority) == (
        StudyState.DONE,
        Outcome.NOT_ANALYSED,
        0,
    )
    assert study.priority_reason == "NaN in the geometry"
