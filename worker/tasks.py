"""The Celery task: take a job, analyse, record; every error becomes a state of the job.

A fault of the study ends it, one of its surroundings costs time, one of the worker ends that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from celery.signals import worker_process_init

from schema.database import Database, patiently, wait_for_database
from schema.errors import (
    DatabaseUnavailableError,
    DecoderKilledError,
    LeaseLostError,
    PermanentError,
    StorageAwayError,
    TransientError,
    UnsuitableSeriesError,
    WorkerError,
)
from schema.messages import ANALYSE
from schema.states import Outcome
from schema.storage import is_there, require_same, wait_until_there
from schema.tables import Job
from worker.celery import app, places, settings
from worker.fitness import Fitness
from worker.lease import BEATS_PER_LEASE, Heartbeat, Lease, keys
from worker.objects.revision import Revision
from worker.results import (
    record,
    record_failure,
    requeue,
    return_untouched,
    revision_of,
    spend_attempt,
)
from worker.self_tests import begin_beats, report_verdict
from worker.turns import Turns

if TYPE_CHECKING:
    from worker.engine import Engine

log = structlog.get_logger()

DATABASE_DEADLINE_S: Final = 30
STORAGE_PATIENCE_S: Final = 30
RECORD_DEADLINE_S: Final = 60  # an answer that took a minute is worth waiting for the database
DECODER_KILLED: Final = "the decoder was killed in the middle of it"
BUG: Final = "the analysis stopped with an error in this software; the worker's log has it"

fitness = Fitness(settings)
turns = Turns()


@dataclass(frozen=True)
class Input:
    """What a job is about."""

    paths: tuple[Path, ...]
    revision: Revision
    cut_short: bool  # by an aborted association


class AnalyseTask(Task):  # type: ignore[misc]
    """A task whose worker stops where the worker is at fault."""

    Request = "worker.requests:AnalyseRequest"
    throws = (WorkerError,)


@app.task(name=ANALYSE, base=AnalyseTask)
def analyse_job(job_id: int, *_later: object, **_more: object) -> None:
    """Analyse one job, unless somebody else does or did; the edge where errors become states.

    What a later release adds to a message is passed over: it says that something waits.
    """
    engine = fitness.engine()
    if not wait_until_there(settings.storage, STORAGE_PATIENCE_S):
        log.warning("storage is away, no job is taken", storage=str(settings.storage))
        return
    try:
        # A message says that something waits. Whose turn it is, the database knows; the message of
        # the job that this one names is sent again.
        lease = turns.take(_database(), job_id, settings)
        if lease is not None:
            with structlog.contextvars.bound_contextvars(**keys(lease), attempt=lease.attempt):
                _attempt(engine, lease)
    except LeaseLostError as error:
        log.warning("result dropped", reason=str(error))
    except DatabaseUnavailableError as error:
        log.warning("database is away, the job is left to its lease", reason=str(error))
    finally:
        report_verdict(fitness.engine)


def _attempt(engine: "Engine", lease: Lease) -> None:
    """Make one attempt and see to it that the job is told how it ended."""
    try:
        _work(engine, lease)
    except (LeaseLostError, DatabaseUnavailableError):
        raise
    except WorkerError as fault:
        _return_untouched(lease, fault)
        raise
    except DecoderKilledError as error:
        _spend(lease, DECODER_KILLED, str(error))
    except (TransientError, OSError) as error:
        _requeue(lease, _surroundings(error))
    except UnsuitableSeriesError as error:
        _end(lease, Outcome.NOT_ANALYSED, error)
    except PermanentError as error:
        _end(lease, Outcome.FAILED, error)
    except SoftTimeLimitExceeded:
        reason = f"not done within {settings.time_limit_s} s"
        _spend(lease, reason, reason)
    except Exception as error:
        log.exception("analysis failed")
        _examine(lease, error)


def _work(engine: "Engine", lease: Lease) -> None:
    database = _database()
    job = _read_input(database, lease)
    with Heartbeat(database, lease, settings):
        # A job that ended its worker is begun again alone: perhaps the next one's files did it.
        next_paths = _next_paths if lease.attempt == 1 else None
        analysis = engine.analyse(job.paths, job.revision, next_paths, job.cut_short)
        _tell(lambda: record(database, lease, analysis, settings.storage, places))
    log.info(
        "study analysed",
        outcome=analysis.priority.outcome,
        priority=analysis.priority.level,
        reason=analysis.priority.reason,
    )


def _read_input(database: Database, lease: Lease) -> Input:
    with database.reading() as session:
        job = session.get_one(Job, lease.job_id)
        revision = revision_of(job, settings.storage)
        return Input(_paths(job), revision, job.series.cut_short)


def _next_paths() -> tuple[Path, ...]:
    """Guess what this process reads next; none of a job that was begun before and may be why."""
    job_id = turns.peek(_database())
    with _database().reading() as session:
        job = session.get(Job, job_id) if job_id is not None else None
        return _paths(job) if job is not None and not job.attempts else ()


def _paths(job: Job) -> tuple[Path, ...]:
    instances = job.series.analysed_instances()
    require_same(settings.storage, {instance.storage for instance in instances})
    return tuple(settings.storage / instance.path for instance in instances)


def _surroundings(error: TransientError | OSError) -> TransientError:
    """Tell a storage that is away from one that is there and lacks a file."""
    if not is_there(settings.storage):
        return StorageAwayError(f"storage {settings.storage}: went away during the analysis")
    return error if isinstance(error, TransientError) else TransientError(str(error))


def _examine(lease: Lease, error: Exception) -> None:
    """Find out whether this worker or the study is to blame for what nobody thought of."""
    try:
        fitness.examine()
    except WorkerError as fault:
        _return_untouched(lease, fault)
        raise
    _spend(lease, BUG, f"{type(error).__name__}: {error}")


def _return_untouched(lease: Lease, fault: WorkerError) -> None:
    fitness.give_up(fault)
    _tell(lambda: return_untouched(_database(), lease, fault))


def _requeue(lease: Lease, error: TransientError) -> None:
    _tell(lambda: requeue(_database(), lease, error, settings))


def _spend(lease: Lease, reason: str, detail: str) -> None:
    _tell(lambda: spend_attempt(_database(), lease, reason, detail, settings))


def _end(lease: Lease, outcome: Outcome, error: PermanentError) -> None:
    _tell(lambda: record_failure(_database(), lease, outcome, str(error), error.detail))


def _tell(write: Callable[[], None]) -> None:
    patiently(write, RECORD_DEADLINE_S)


@cache
def _database() -> Database:
    return wait_for_database(settings, DATABASE_DEADLINE_S)


@worker_process_init.connect
def _warm_up(**_: object) -> None:
    """Load and try the engine when the child starts, not when the first bleed waits for it."""
    report_verdict(fitness.engine)
    begin_beats(settings.lease_s / BEATS_PER_LEASE)
