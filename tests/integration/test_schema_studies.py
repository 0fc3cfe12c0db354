"""A study that is derived from its jobs by several at once, and one that contradicts them."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
import structlog
from sqlalchemy.orm import Session

from schema.database import Database, connect, patiently, read_clock
from schema.settings import Settings
from schema.states import JobState, Outcome, StudyState, move
from schema.studies import Healer, lock_study, update_study
from schema.tables import Job, Series, Study
from tests.support.deadline import DEADLINE_S
from tests.support.rows import add_job, add_series, add_study
from worker.lease import Lease, claim, lock_job

AT_ONCE = 16  # studies that end at the same time, each with two workers


@pytest.fixture
def crowded(settings: Settings) -> Iterator[Database]:
    """Open the database with connections enough for every worker at once."""
    database = connect(settings)
    if not settings.embedded:
        database.engine.dispose()
        database.engine = sa.create_engine(settings.database, pool_size=2 * AT_ONCE)
    yield database
    database.engine.dispose()


def end(database: Database, lease: Lease, priority: int) -> None:
    """End a job as a worker does, which asks again where SQLite let others write for too long."""
    patiently(lambda: _end(database, lease, priority), DEADLINE_S)


def _end(database: Database, lease: Lease, priority: int) -> None:
    with database.transaction() as session:
        job = lock_job(session, lease)
        job.state = move(job.state, JobState.DONE)
        job.outcome, job.priority = Outcome.POSITIVE, priority
        job.priority_reason = job.reason = f"rule {priority}"
        job.finished_at = read_clock(session)
        update_study(session, job.series.study)


def end_two_at_once(
    database: Database, settings: Settings, jobs: tuple[int, int], jitter_s: float
) -> None:
    """Let two workers end the two jobs of a study, priorities 1 and 3, as close as the jitter."""
    leases: list[Lease | None] = []
    for job in jobs:
        patiently(lambda job=job: leases.append(claim(database, job, settings)), DEADLINE_S)  # type: ignore[misc]
    together = threading.Barrier(2)

    def work(lease: Lease | None, priority: int) -> None:
        assert lease is not None
        together.wait()
        threading.Event().wait(random.uniform(0, jitter_s))
        end(database, lease, priority)

    with ThreadPoolExecutor(2) as pool:
        for ended in [pool.submit(work, *one) for one in zip(leases, (1, 3), strict=True)]:
            ended.result()


@pytest.mark.slow
@pytest.mark.parametrize("studies", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("jitter_s", [0, 0.05, 0.5])
def test_two_jobs_that_end_at_once_leave_no_study_stuck_and_none_lowered(
    crowded: Database, settings: Settings, studies: int, jitter_s: float
) -> None:
    patient = settings.model_copy(update={"lease_s": 600})
    with crowded.transaction() as session:
        pairs = []
        for number in range(studies):
            study = add_study(session, f"1.2.{number}")
            jobs = [add_job(add_series(study, session), session) for _ in range(2)]
            session.flush()
            pairs.append((jobs[0].id, jobs[1].id))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in [
            pool.submit(end_two_at_once, crowded, patient, pair, jitter_s) for pair in pairs
        ]:
            ended.result()
    with crowded.reading() as session:
        stuck = sa.select(sa.func.count(Study.id)).where(Study.state != StudyState.DONE)
        lowered = sa.select(sa.func.count(Study.id)).where(Study.priority != 1)
        assert (session.scalar(stuck), session.scalar(lowered)) == (0, 0)


def test_claims_ends_and_decisions_on_one_study_never_wait_in_a_circle(
    crowded: Database, settings: Settings
) -> None:
    with crowded.transaction() as session:
        study = add_study(session)
        jobs = [add_job(add_series(study, session), session) for _ in range(AT_ONCE)]
        session.flush()
        study_id, ids = study.id, [job.id for job in jobs]

    def work(job_id: int) -> None:
        lease = claim(crowded, job_id, settings.model_copy(update={"lease_s": 600}))
        assert lease is not None
        end(crowded, lease, 3)

    def decide(_: int) -> None:  # as the receiver does: the study, then what belongs to it
        with crowded.transaction() as session:
            update_study(session, lock_study(session, study_id))

    with ThreadPoolExecutor(2 * AT_ONCE) as pool:
        tasks = [pool.submit(work, job_id) for job_id in ids] + [
            pool.submit(decide, 0) for _ in ids
        ]
        for task in tasks:
            task.result()
    with crowded.reading() as session:
        assert session.get_one(Study, study_id).state == StudyState.DONE


def test_locking_a_study_reads_again_what_was_read_of_it(
    database: Database, settings: Settings
) -> None:
    with database.transaction() as session:
        job_id = add_job(add_series(add_study(session), session), session).id
    with database.reading() as session:
        job = session.get_one(Job, job_id)
        stale = [sibling.state for sibling in job.series.jobs]
        claim(database, job_id, settings)
        if settings.embedded:
            return  # a read of SQLite shows one moment, and its writers are alone
        lock_study(session, job.series.study_id)
        assert (stale, job.state) == ([JobState.READY], JobState.RUNNING)


@pytest.mark.parametrize(
    ("job", "shown", "healed"),
    [
        (JobState.DONE, StudyState.RUNNING, StudyState.DONE),
        (JobState.FAILED, StudyState.READY, StudyState.DONE),
        (JobState.RUNNING, StudyState.DONE, StudyState.RUNNING),
        (JobState.READY, StudyState.RECEIVING, StudyState.READY),
    ],
)
def test_a_study_that_contradicts_its_jobs_is_healed_and_the_log_says_so(
    database: Database, job: JobState, shown: StudyState, healed: StudyState
) -> None:
    with database.transaction() as session:
        study = add_study(session)
        study.state = StudyState.READY
        add_job(add_series(study, session), session, state=job, outcome=Outcome.FAILED)
        study.state = shown
    with structlog.testing.capture_logs() as lines:
        assert Healer(database).heal() == 1
    assert [(line["event"], line["study"]) for line in lines] == [("study healed", "1.2.3")]
    with database.reading() as session:
        assert session.scalars(sa.select(Study.state)).one() == healed
    assert Healer(database).heal() == 0


def test_a_study_that_cannot_be_healed_is_named_and_holds_up_no_other(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.transaction() as session:
        for uid in ("1.2.1", "1.2.2"):
            study = add_study(session, uid)
            add_series(study, session)
            study.state = StudyState.READY

    def update(session: Session, study: Study) -> None:
        if study.study_instance_uid == "1.2.1":
            raise IndexError
        update_study(session, study)

    monkeypatch.setattr("schema.studies.update_study", update)
    healer = Healer(database)
    with structlog.testing.capture_logs() as lines:
        assert (healer.heal(), healer.heal()) == (1, 0)
    named = [(line["study"], line["event"]) for line in lines]
    assert named == [("1.2.1", "study cannot be healed"), ("1.2.2", "study healed")]


def test_healing_leaves_consistent_studies_alone(database: Database, settings: Settings) -> None:
    with database.transaction() as session:
        add_series(add_study(session, "1.1"), session, state="RECEIVING")
        jobs = [
            add_job(add_series(add_study(session, f"1.2.{n}"), session), session) for n in "123"
        ]
        session.flush()
        ids = [job.id for job in jobs]
    claim(database, ids[0], settings)
    lease = claim(database, ids[1], settings)
    assert lease is not None
    end(database, lease, 2)
    assert Healer(database).heal() == 0
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(Series.id))) == 4
