import os
import signal
from collections.abc import Iterator
from datetime import timedelta

import pytest

from receiver.dispatch.redispatch import Dispatcher
from schema.broker import client, count_waiting, ensure_broker
from schema.database import Database, read_clock
from schema.errors import BrokerUnavailableError
from schema.messages import TRIAGE_QUEUE
from schema.settings import Settings
from schema.states import JobState
from schema.tables import Job
from tests.support.rows import LONG_AGO, add_job, add_series, add_study


@pytest.fixture
def broker(settings: Settings) -> Iterator[Settings]:
    ensure_broker(settings)
    yield settings
    with client(settings) as connection:
        connection.shutdown(nosave=True)


def add_jobs(database: Database, count: int) -> list[int]:
    with database.transaction() as session:
        study = add_study(session)
        return [add_job(add_series(study, session), session).id for _ in range(count)]


def make_due(database: Database, ids: list[int]) -> None:
    with database.transaction() as session:
        for job_id in ids:
            session.get_one(Job, job_id).due_at = LONG_AGO


def test_each_waiting_job_gets_one_bell(broker: Settings, database: Database) -> None:
    add_jobs(database, 3)
    dispatcher = Dispatcher(broker, database)
    assert dispatcher.dispatch_due() == 3
    assert dispatcher.dispatch_due() == 0
    assert count_waiting(broker, TRIAGE_QUEUE) == 3


def test_a_message_holds_a_job_id_and_no_patient(broker: Settings, database: Database) -> None:
    (job_id,) = add_jobs(database, 1)
    Dispatcher(broker, database).dispatch_due()
    with client(broker) as connection:
        (message,) = connection.lrange(TRIAGE_QUEUE, 0, -1)
    assert f'"argsrepr": "[{job_id}]"'.encode() in message
    assert b"P1" not in message
    assert b"Phantom" not in message


def test_bells_do_not_pile_up_while_no_worker_answers(broker: Settings, database: Database) -> None:
    ids = add_jobs(database, 3)
    dispatcher = Dispatcher(broker, database)
    for _ in range(5):
        make_due(database, ids)
        dispatcher.dispatch_due()
    assert count_waiting(broker, TRIAGE_QUEUE) == 3


def test_an_emptied_broker_is_rung_again(broker: Settings, database: Database) -> None:
    ids = add_jobs(database, 2)
    dispatcher = Dispatcher(broker, database)
    dispatcher.dispatch_due()
    with client(broker) as connection:
        connection.flushall()
    make_due(database, ids)
    assert dispatcher.dispatch_due() == 2


def test_a_silent_workers_job_is_rung_again(broker: Settings, database: Database) -> None:
    (job_id,) = add_jobs(database, 1)
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
        job.state = JobState.RUNNING
        job.lease_until = read_clock(session) - timedelta(seconds=1)
    assert Dispatcher(broker, database).dispatch_due() == 1


def test_a_broker_that_is_away_is_a_transient_error(settings: Settings, database: Database) -> None:
    away = settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    add_jobs(database, 1)
    with pytest.raises(BrokerUnavailableError):
        Dispatcher(away, database).dispatch_due()


def test_the_private_redis_comes_back_with_its_bells_after_a_kill(
    broker: Settings, database: Database
) -> None:
    add_jobs(database, 2)
    Dispatcher(broker, database).dispatch_due()
    with client(broker) as connection:
        os.kill(connection.info("server")["process_id"], signal.SIGKILL)
    ensure_broker(broker)
    assert count_waiting(broker, TRIAGE_QUEUE) == 2
