"""Delivery on a worker that consumes the queue `deliver`: it runs in the worker's own process.

Not as a task: rows become due by time, and must be sent whether or not Redis remembers a message.
"""

from typing import Any

import structlog
from celery.signals import worker_init, worker_shutdown

from schema.database import wait_for_database
from schema.errors import TriageError
from schema.messages import DELIVER_QUEUE
from schema.settings import read_settings, stop

log = structlog.get_logger()

DATABASE_DEADLINE_S = 30
_running: list[Any] = []


@worker_init.connect
def start_delivery(sender: Any, **_: object) -> None:
    """Start it where the worker consumes the queue; a bad file of destinations ends the worker."""
    if DELIVER_QUEUE not in sender.app.amqp.queues.consume_from:
        return
    from worker.delivery.service import make_service  # nothing of it in a GPU child

    try:
        settings = read_settings()
        service = make_service(settings, wait_for_database(settings, DATABASE_DEADLINE_S))
        service.start()
    except TriageError as error:
        stop(error)
    _running.append(service)


@worker_shutdown.connect
def stop_delivery(**_: object) -> None:
    """End it with the worker."""
    while _running:
        _running.pop().stop()
