"""A worker waits for a broker that answers and takes no writes, as for one that is away."""

import time
from typing import Final

import structlog
from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from redis import ResponseError

from schema.broker import ping
from schema.errors import BrokerUnavailableError
from schema.settings import Settings

log = structlog.get_logger()

LOOK_AGAIN_S: Final = 1.0


class PatientConsumer(Consumer):  # type: ignore[misc]
    """Connects again when the broker takes writes; Celery would try five times a second."""

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Say it, and wait where the broker answered and refused what it was told."""
        super().on_connection_error_before_connected(exc)
        self._wait_if_refused(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Give the connection up, and wait as before one."""
        super().on_connection_error_after_connected(exc)
        self._wait_if_refused(exc)

    def _wait_if_refused(self, exc: Exception) -> None:
        if isinstance(exc, ResponseError):
            wait_for_writes(self.app.triage)


def wait_for_writes(settings: Settings) -> None:
    """Wait until the broker takes writes, or the worker is told to stop."""
    why = _refusal(settings)
    if why is None:
        return
    log.warning("the broker takes no messages, waiting for it", reason=why)
    while _refusal(settings) is not None:
        maybe_shutdown()
        time.sleep(LOOK_AGAIN_S)
    log.info("the broker takes messages again")


def _refusal(settings: Settings) -> str | None:
    try:
        ping(settings)
    except BrokerUnavailableError as error:
        return str(error)
    return None
