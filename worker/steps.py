"""What a worker does between its pool and its first message: prove itself; and watch its host."""

import shutil
import threading
import time
from pathlib import Path
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.exceptions import WorkerShutdown

from schema.database import connect
from schema.errors import TransientError, WorkerError
from schema.messages import TRIAGE_QUEUE
from schema.owners import release_orphans
from schema.settings import Settings
from worker.requests import AT_FAULT, say
from worker.self_tests import PASSED, open_folder, read_verdicts

log = structlog.get_logger()

DEADLINE_S: Final = 300.0  # a model on a slow disk, many children at once
LOOK_S: Final = 0.1
WATCH_S: Final = 1.0
IN_PROCESS: Final = ("solo", "thread")  # pools that have no children
POOL: Final = "celery.worker.components:Pool"


class SelfTest(bootsteps.StartStopStep):  # type: ignore[misc]
    """Lets no worker near the queue before it analysed a slice; else exits with status 2."""

    requires = (POOL,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._folder: Path | None = None
        if analyses(worker):
            self._folder = open_folder()

    def start(self, worker: Any) -> None:
        """Wait for the verdicts of the pool's children, or test in this process."""
        if self._folder is None:
            return
        try:
            if worker.pool_cls.__module__.rpartition(".")[2] in IN_PROCESS:
                _test_here()
            else:
                _wait_for_verdicts(worker, self._folder)
        except WorkerError as fault:
            say(fault)
            raise WorkerShutdown(AT_FAULT) from None
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


class OrphanWatch(bootsteps.StartStopStep):  # type: ignore[misc]
    """Frees the jobs of workers that died on this host, whichever worker they belonged to."""

    requires = (POOL,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopped = threading.Event()

    def start(self, worker: Any) -> None:
        """Watch from a thread."""
        if analyses(worker):
            watch = threading.Thread(
                target=self._watch, args=(worker.app.triage,), name="orphans", daemon=True
            )
            watch.start()

    def stop(self, _worker: Any) -> None:
        """End the watch."""
        self._stopped.set()

    def _watch(self, settings: Settings) -> None:
        database = connect(settings)
        while not self._stopped.wait(WATCH_S):
            try:
                release_orphans(database)
            except TransientError as error:
                log.debug("cannot look for orphaned jobs", reason=str(error))
        database.engine.dispose()


def analyses(worker: Any) -> bool:
    """Say whether this worker takes studies, or delivers only and needs no model."""
    return TRIAGE_QUEUE in worker.app.amqp.queues.consume_from


def _test_here() -> None:
    from worker.tasks import fitness

    fitness.engine()


def _wait_for_verdicts(worker: Any, folder: Path) -> None:
    end = time.monotonic() + DEADLINE_S
    while True:
        verdicts = read_verdicts(folder)
        bad = [verdict for verdict in verdicts if verdict != PASSED]
        if bad:
            raise WorkerError(bad[0])
        if len(verdicts) >= worker.concurrency:
            return
        _require_life(worker, end)
        time.sleep(LOOK_S)


def _require_life(worker: Any, end: float) -> None:
    dead = [child for child in worker.pool._pool._pool if child.exitcode is not None]
    if dead:
        raise WorkerError(f"self-test: the process died in it (exit status {dead[0].exitcode})")
    if time.monotonic() > end:
        raise WorkerError(f"self-test: not done within {DEADLINE_S:g} s")
