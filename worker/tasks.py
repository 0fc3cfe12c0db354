"""The Celery task: claim, analyse, record; every error becomes a state of the job."""

from functools import cache
from pathlib import Path
from typing import Final

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery.signals import worker_process_init

from schema.database import Database, wait_for_database
from schema.errors import (
    LeaseLostError,
    PermanentError,
    TransientError,
    UnsuitableSeriesError,
)
from schema.messages import ANALYSE
from schema.states import Outcome
from schema.tables import Job
from worker.analysis import Analysis, analyse
from worker.celery import app, settings
from worker.decoders import Decoders
from worker.lease import Heartbeat, Lease, claim
from worker.munet.inference import Predictor
from worker.priority import load_rules
from worker.results import previous_report, record, record_failure, requeue

log = structlog.get_logger()

DATABASE_DEADLINE_S: Final = 30
RESULTS: Final = "results"
SHIPPED_MODEL: Final = Path(__file__).parent / "munet" / "weights" / "munet.safetensors"


@app.task(name=ANALYSE)
def analyse_job(job_id: int) -> None:
    """Analyse one job, unless somebody else does or did; the edge where errors become states."""
    lease = claim(_database(), job_id, settings)
    if lease is None:
        return
    with structlog.contextvars.bound_contextvars(job=job_id, attempt=lease.attempt):
        try:
            _work(lease)
        except LeaseLostError as error:
            log.warning("result dropped", reason=str(error))
        except TransientError as error:
            requeue(_database(), lease, error, settings)
        except UnsuitableSeriesError as error:
            record_failure(_database(), lease, Outcome.NOT_ANALYSED, str(error))
        except PermanentError as error:
            record_failure(_database(), lease, Outcome.FAILED, str(error))
        except SoftTimeLimitExceeded:
            reason = f"not done within TRIAGE_TIME_LIMIT_S={settings.time_limit_s}"
            record_failure(_database(), lease, Outcome.FAILED, reason)
        except Exception as error:
            log.exception("analysis failed")
            record_failure(_database(), lease, Outcome.FAILED, f"{type(error).__name__}: {error}")


def _work(lease: Lease) -> None:
    database = _database()
    with Heartbeat(database, lease, settings):
        analysis = _analyse(database, lease)
    record(database, lease, analysis, settings.storage)
    log.info(
        "study analysed",
        outcome=analysis.priority.outcome,
        priority=analysis.priority.level,
        reason=analysis.priority.reason,
    )


def _analyse(database: Database, lease: Lease) -> Analysis:
    with database.reading() as session:
        job = session.get_one(Job, lease.job_id)
        instances = job.series.analysed_instances()
        paths = [settings.storage / instance.path for instance in instances]
        previous = previous_report(job, settings.storage)
    rules, results = load_rules(settings.rules), settings.storage / RESULTS
    return analyse(paths, _predictor(), rules, results, _decoder(), previous)


@cache
def _database() -> Database:
    return wait_for_database(settings, DATABASE_DEADLINE_S)


@cache
def _predictor() -> Predictor:
    return Predictor(settings.model or SHIPPED_MODEL, settings.device, settings.operating_point)


@cache
def _decoder() -> Decoders:
    return Decoders(settings.decode_memory_mb, settings.decode_limit_s)


@worker_process_init.connect
def _warm_up(**_: object) -> None:
    """Load the model when the child starts, not when the first bleed waits for it."""
    _decoder().start()
    _predictor()
