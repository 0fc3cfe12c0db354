"""Tell the workers that a job waits, and again until one claims it."""

import logging
from datetime import datetime, timedelta

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from receiver.dispatch.set_back import free_set_back
from schema.broker import count_waiting, ensure_broker
from schema.database import Database, read_clock
from schema.errors import BrokerUnavailableError
from schema.messages import TRIAGE_QUEUE, AnalyseMessage
from schema.queue import BY_URGENCY, is_waiting
from schema.settings import Settings
from schema.tables import Job

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 3


class Dispatcher:
    """Sends the message of each job that nobody claimed or whose worker went silent."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._celery = Celery(broker=settings.broker, set_as_current=False)
        self._celery.conf.update(
            task_serializer="json",
            broker_connection_timeout=CONNECT_TIMEOUT_S,
            broker_transport_options={"socket_connect_timeout": CONNECT_TIMEOUT_S},
        )

    def dispatch_due(self) -> int:
        """Send what is due, never more messages than jobs wait; return how many were sent.

        Raises
        ------
        BrokerUnavailableError
            If the broker does not answer; the jobs stay due.
        """
        free_set_back(self._database, self._settings)
        with self._database.reading() as session:
            due, waiting = due_jobs(session)
        if not due:
            return 0
        ensure_broker(self._settings)
        missing = waiting - count_waiting(self._settings, TRIAGE_QUEUE)
        for job_id in due[: max(missing, 0)]:
            self._send(AnalyseMessage(job_id))
        return min(len(due), max(missing, 0))

    def _send(self, message: AnalyseMessage) -> None:
        try:
            self._celery.send_task(
                message.task, args=[message.job_id], queue=message.queue, retry=False
            )
        except (OperationalError, RedisError, OSError) as error:
            raise BrokerUnavailableError(f"broker: {error}") from error
        self._postpone(message.job_id)

    def _postpone(self, job_id: int) -> None:
        with self._database.transaction() as session:
            job = session.get_one(Job, job_id)
            job.due_at = _later(session, self._settings.redispatch_s)
            again = job.dispatched_at is not None
            job.dispatched_at = job.dispatched_at or read_clock(session)
            study = job.series.study.study_instance_uid
        # The first time is news; that it still waits, is not.
        log.log(logging.DEBUG if again else logging.INFO, "job dispatched", job=job_id, study=study)


def _later(session: Session, seconds: float) -> datetime:
    return read_clock(session) + timedelta(seconds=seconds)


def due_jobs(session: Session) -> tuple[list[int], int]:
    """Give the ids of the jobs whose message is due, and how many wait in all.

    The most urgent first, for workers that take the job which a message names (release 0.1.0).
    """
    now = read_clock(session)
    waits = is_waiting(now)
    due = session.scalars(select(Job.id).where(waits, Job.due_at <= now).order_by(*BY_URGENCY))
    waiting = session.scalar(select(func.count()).select_from(Job).where(waits))
    return list(due), waiting or 0
