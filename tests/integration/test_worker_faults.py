"""Three kinds of faults: of the study, of the worker, of the surroundings."""

import importlib
import uuid
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy import select
from structlog.testing import capture_logs

from schema.database import Database
from schema.errors import (
    DecoderKilledError,
    DeviceUnavailableError,
    GeometryError,
    PermanentError,
    SourceFileMissingError,
    StorageFullError,
    WorkerError,
)
from schema.settings import Settings
from schema.states import JobState, Outcome
from schema.storage import require_storage
from schema.tables import Instance, Job
from tests.support.processes import wait_for
from tests.support.rows import add_job, add_series, add_study
from worker.lease import claim
from worker.results import LONGEST_PAUSE_S


class Ends:
    """An engine whose analyses all end in the same way."""

    def __init__(self, error: BaseException, fault: WorkerError | None = None) -> None:
        self.error, self.fault = error, fault

    def analyse(self, *_: object) -> None:
        raise self.error

    def test(self) -> None:
        if self.fault:
            raise self.fault


class Desk:
    """The worker's task on one job of a database."""

    def __init__(self, tasks: ModuleType, settings: Settings, database: Database) -> None:
        self.tasks, self.settings, self.database = tasks, settings, database
        with database.transaction() as session:
            self.job_id = add_job(add_series(add_study(session), session), session).id

    def attempt(self, error: BaseException, fault: WorkerError | None = None) -> Job:
        """Let an analysis end with this error; give the job as it is then."""
        self.tasks.fitness._fault = None
        self.tasks.fitness._engine = Ends(error, fault)
        try:
            self.tasks.analyse_job(self.job_id)
        except WorkerError as stopped:
            self.stopped: WorkerError | None = stopped
        else:
            self.stopped = None
        return self.job()

    def job(self) -> Job:
        with self.database.reading() as session:
            job = session.get_one(Job, self.job_id)
            assert job.series.study is not None
            return job

    def pause_s(self) -> float:
        return (self.job().due_at - self.database.now()).total_seconds()

    def let_pass(self, seconds: float) -> None:
        """Let the job have waited so long already."""
        with self.database.transaction() as session:
            job = session.get_one(Job, self.job_id)
            assert job.waits_since is not None
            job.waits_since -= timedelta(seconds=seconds)


@pytest.fixture
def desk(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    monkeypatch.setenv("TRIAGE_BROKER_URL", "redis://127.0.0.1:1")  # only the import needs one
    tasks = importlib.import_module("worker.tasks")
    require_storage(settings, 0)
    monkeypatch.setattr(tasks, "settings", settings)
    monkeypatch.setattr(tasks, "_database", lambda: database)
    monkeypatch.setattr(tasks, "STORAGE_PATIENCE_S", 0)
    monkeypatch.setattr(tasks, "fitness", tasks.Fitness(settings))
    return Desk(tasks, settings, database)


def standing(job: Job) -> tuple[JobState, int]:
    return job.state, job.attempts


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (GeometryError("two slices in one place"), Outcome.NOT_ANALYSED),
        (PermanentError("no DICOM"), Outcome.FAILED),
    ],
)
def test_a_fault_of_the_study_ends_it_with_its_reason(
    desk: Desk, error: Exception, outcome: Outcome
) -> None:
    job = desk.attempt(error)
    assert (job.state, job.outcome, job.reason) == (JobState.FAILED, outcome, str(error))


def test_a_radiologist_reads_plain_words_and_an_operator_the_detail(desk: Desk) -> None:
    job = desk.attempt(PermanentError("no DICOM; send it again", detail="00a1.dcm: KeyError"))
    assert (job.reason, job.last_error) == ("no DICOM; send it again", "00a1.dcm: KeyError")
    with desk.database.reading() as session:
        assert session.get_one(Job, job.id).series.study.reason == job.reason


def test_a_fault_of_the_worker_leaves_the_job_as_it_was_and_stops_the_worker(desk: Desk) -> None:
    fault = DeviceUnavailableError("device cuda: out of memory")
    job = desk.attempt(fault)
    assert (*standing(job), job.reason) == (JobState.READY, 0, None)
    assert desk.pause_s() <= 0
    assert desk.stopped is fault


def test_a_worker_at_fault_looks_at_no_further_job(desk: Desk) -> None:
    desk.attempt(DeviceUnavailableError("device cuda: out of memory"))
    with pytest.raises(DeviceUnavailableError):
        desk.tasks.analyse_job(desk.job_id)
    assert desk.job().token == 1


def test_a_job_that_ends_many_workers_is_set_aside_and_counted(desk: Desk) -> None:
    for _ in range(6):
        job = desk.attempt(DeviceUnavailableError("device cuda: out of memory"))
    assert (*standing(job), job.worker_faults) == (JobState.READY, 0, 6)
    assert desk.pause_s() > 200


@pytest.mark.parametrize("error", [StorageFullError("full"), OSError(5, "Input/output error")])
def test_a_fault_of_the_surroundings_costs_time_and_never_an_attempt(
    desk: Desk, error: Exception
) -> None:
    for _ in range(2 * desk.settings.max_attempts):
        job = desk.attempt(error)
        desk.let_pass(3600)
    assert standing(job) == (JobState.READY, 0)
    assert 0 < desk.pause_s() <= LONGEST_PAUSE_S


def test_a_file_may_be_missing_for_a_while_but_not_for_ever(desk: Desk) -> None:
    missing = SourceFileMissingError("abc.dcm: No such file or directory")
    assert standing(desk.attempt(missing)) == (JobState.READY, 0)
    desk.let_pass(desk.settings.missing_file_s)
    job = desk.attempt(missing)
    assert (job.state, job.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert job.reason == "a file of this series is missing from the storage; send the study again"


def test_a_file_is_not_missing_while_the_storage_is_away(desk: Desk) -> None:
    folder = desk.settings.storage / "inbox"

    desk.tasks.fitness._engine = engine = Ends(KeyError())

    def unmount(*_: object) -> None:
        folder.rmdir()
        raise SourceFileMissingError("abc.dcm: No such file or directory")

    engine.analyse = unmount  # type: ignore[method-assign]
    desk.tasks.analyse_job(desk.job_id)
    job = desk.job()
    assert (*standing(job), job.waits_for) == (JobState.READY, 0, "StorageAwayError")
    desk.tasks.analyse_job(desk.job_id)
    assert desk.job().token == 1


def test_a_study_whose_images_lie_on_another_storage_waits_for_it(desk: Desk) -> None:
    with desk.database.transaction() as session:
        session.scalars(select(Instance)).one().storage = uuid.uuid4()
    job = desk.attempt(AssertionError("not to be analysed here"))
    assert (*standing(job), job.waits_for) == (JobState.READY, 0, "StorageAwayError")


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (KeyError("/srv/triage/x"), "an error in this software"),
        (SoftTimeLimitExceeded(), "not done within"),
        (DecoderKilledError("SIGKILL"), "the decoder was killed"),
    ],
)
def test_an_end_that_nobody_knows_is_tried_again_and_given_up_in_plain_words(
    desk: Desk, error: Exception, word: str
) -> None:
    for number in range(1, desk.settings.max_attempts):
        assert standing(desk.attempt(error)) == (JobState.READY, number)
        assert desk.pause_s() > 0
    job = desk.attempt(error)
    assert (job.state, job.outcome) == (JobState.FAILED, Outcome.FAILED)
    assert job.reason is not None
    assert word in job.reason
    assert "/" not in job.reason
    assert "Error" not in job.reason


def test_an_error_that_nobody_knows_is_the_workers_if_its_self_test_fails_too(desk: Desk) -> None:
    job = desk.attempt(RuntimeError("CUDA error"), WorkerError("self-test: CUDA error"))
    assert standing(job) == (JobState.READY, 0)
    assert str(desk.stopped) == "self-test: CUDA error"


def test_a_message_is_dropped_while_the_storage_is_away(desk: Desk) -> None:
    (desk.settings.storage / "inbox").rmdir()
    assert standing(desk.attempt(KeyError("never"))) == (JobState.READY, 0)
    assert desk.job().token == 0


def test_what_was_written_for_a_lost_lease_is_dropped(desk: Desk) -> None:
    def lapse_and_claim() -> object:
        with desk.database.transaction() as session:
            job = session.get_one(Job, desk.job_id)
            job.lease_until = job.created_at
        return claim(desk.database, desk.job_id, desk.settings)

    def take_over(*_: object) -> None:
        wait_for("lease that its heartbeat did not keep", lapse_and_claim)
        raise GeometryError("too late")

    desk.tasks.fitness._engine = engine = Ends(KeyError())
    engine.analyse = take_over  # type: ignore[method-assign]
    desk.tasks.analyse_job(desk.job_id)
    assert standing(desk.job()) == (JobState.RUNNING, 2)


def test_an_interrupted_job_goes_before_the_one_that_the_message_names(desk: Desk) -> None:
    with desk.database.transaction() as session:
        series = add_series(session.get_one(Job, desk.job_id).series.study, session)
        named = add_job(series, session).id
    assert claim(desk.database, desk.job_id, desk.settings) is not None
    with desk.database.transaction() as session:
        job = session.get_one(Job, desk.job_id)
        job.lease_until = job.created_at
    desk.tasks.fitness._engine = Ends(GeometryError("no stack"))
    desk.tasks.analyse_job(named)
    assert desk.job().state == JobState.FAILED
    with desk.database.reading() as session:
        assert session.get_one(Job, named).token == 0


def test_what_a_later_release_adds_to_a_message_is_passed_over(desk: Desk) -> None:
    desk.tasks.fitness._engine = Ends(GeometryError("no stack"))
    desk.tasks.analyse_job(desk.job_id, "more", program=9)
    assert desk.job().state == JobState.FAILED


def test_the_line_that_a_study_is_analysed_carries_its_key(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    priority = SimpleNamespace(outcome=Outcome.NEGATIVE, level=4, reason="none found")
    desk.tasks.fitness._engine = engine = Ends(KeyError())
    engine.analyse = lambda *_: SimpleNamespace(priority=priority)  # type: ignore[method-assign]
    monkeypatch.setattr(desk.tasks, "record", lambda *_: None)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        desk.tasks.analyse_job(desk.job_id)
    (line,) = [line for line in lines if line["event"] == "study analysed"]
    assert (line["study"], line["job"]) == (desk.job().series.study.study_instance_uid, desk.job_id)


class Guesses(Ends):
    """An engine that notes which files it would prepare beside a study."""

    def analyse(self, *given: object) -> None:
        _paths, _previous, next_paths, _cut_short = given
        self.guessed = next_paths() if callable(next_paths) else None
        super().analyse()


def guessed(desk: Desk) -> tuple[Path, ...] | None:
    engine = Guesses(ValueError("a bug"))
    desk.tasks.fitness._engine = engine
    desk.tasks.analyse_job(desk.job_id)
    return engine.guessed


def add_waiting(desk: Desk, **columns: object) -> tuple[Path, ...]:
    """Let another study wait; give its files."""
    with desk.database.transaction() as session:
        series = add_series(add_study(session, "1.2.9"), session)
        job = add_job(series, session, weight=-1, **columns)
        session.flush()
        return tuple(desk.settings.storage / i.path for i in job.series.analysed_instances())


def test_the_files_of_the_next_study_are_guessed_beside_a_first_attempt(desk: Desk) -> None:
    waiting = add_waiting(desk)
    assert waiting
    assert guessed(desk) == waiting


def test_nothing_is_prepared_of_a_study_that_was_begun_and_not_ended(desk: Desk) -> None:
    add_waiting(desk, attempts=1)
    assert guessed(desk) == ()


def test_a_study_that_was_begun_before_is_analysed_alone(desk: Desk) -> None:
    add_waiting(desk)
    with desk.database.transaction() as session:
        session.get_one(Job, desk.job_id).attempts = 1
    assert guessed(desk) is None
