"""What a worker does beside its messages: show that it lives, prove itself, and watch its host."""

import shutil
import threading
import time
from typing import Any, Final

import structlog
from celery import bootsteps
from celery.exceptions import WorkerShutdown

from schema.database import connect
from schema.errors import SettingsError, TransientError, WorkerError
from schema.messages import TRIAGE_QUEUE
from schema.monitoring.pages import Pages
from schema.owners import release_orphans
from schema.settings import Settings
from worker.durable import RESULTS, remove_left
from worker.metrics import Workforce, consumes, open_worker_pages, worker_life
from worker.requests import AT_FAULT, faults, say
from worker.self_tests import open_folder, report_verdict

log = structlog.get_logger()

DEADLINE_S: Final = 300.0  # a model on a slow disk, many children at once
LOOK_S: Final = 0.1
WATCH_S: Final = 1.0
UNEXPECTED: Final = "ended by force, or by an error of its own: see its log"
POOL: Final = "celery.worker.components:Pool"


class SignsOfLife(bootsteps.StartStopStep):  # type: ignore[misc]
    """Gives signs of life and serves the worker's pages, from before the model is loaded."""

    requires = (POOL,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._folder = open_folder() if consumes(worker, TRIAGE_QUEUE) else None
        self._pages: Pages | None = None
        worker.workforce = Workforce(worker, self._folder)
        worker.life = None

    def start(self, worker: Any) -> None:
        """Begin."""
        database = connect(worker.app.triage)
        life = worker_life(worker, worker.workforce, database)
        try:
            self._pages = open_worker_pages(worker, worker.workforce, life, database)
        except SettingsError as fault:
            say(fault)
            raise WorkerShutdown(AT_FAULT) from None
        life.start()
        worker.life = life

    def stop(self, worker: Any) -> None:
        """Write that the worker ends, and for which fault if there was one."""
        if worker.life is not None:
            unexpected = UNEXPECTED if worker.exitcode else None
            worker.life.stop(faults[-1] if faults else unexpected)
            worker.life = None
        if self._pages is not None:
            self._pages.close()
            self._pages = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    terminate = stop


class SelfTest(bootsteps.StartStopStep):  # type: ignore[misc]
    """Lets no worker near the queue before it analysed a slice; else exits with status 2."""

    requires = (POOL, SignsOfLife)

    def start(self, worker: Any) -> None:
        """Wait for the verdicts of the pool's children, or test in this process."""
        if not consumes(worker, TRIAGE_QUEUE):
            return
        try:
            if worker.workforce.has_no_children:
                _test_here()
            else:
                _wait_for_verdicts(worker)
        except WorkerError as fault:
            say(fault)
            # Celery stops none of the steps of a worker that never was up.
            worker.blueprint[SignsOfLife.name].stop(worker)
            raise WorkerShutdown(AT_FAULT) from None


class OrphanWatch(bootsteps.StartStopStep):  # type: ignore[misc]
    """Frees the jobs of workers that died on this host, whichever worker they belonged to."""

    requires = (POOL,)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._stopped = threading.Event()

    def start(self, worker: Any) -> None:
        """Watch from a thread."""
        if consumes(worker, TRIAGE_QUEUE):
            watch = threading.Thread(
                target=self._watch, args=(worker.app.triage,), name="orphans", daemon=True
            )
            watch.start()

    def stop(self, _worker: Any) -> None:
        """End the watch."""
        self._stopped.set()

    def _watch(self, settings: Settings) -> None:
        database = connect(settings)
        try:
            remove_left(settings.storage / RESULTS)
        except TransientError as error:
            log.debug("cannot look for half written files", reason=str(error))
        while not self._stopped.wait(WATCH_S):
            try:
                release_orphans(database)
            except TransientError as error:
                log.debug("cannot look for orphaned jobs", reason=str(error))
        database.engine.dispose()


def _test_here() -> None:
    from worker.tasks import fitness

    fitness.engine()
    report_verdict(fitness.engine)


def _wait_for_verdicts(worker: Any) -> None:
    end = time.monotonic() + DEADLINE_S
    while True:
        verdicts = worker.workforce.verdicts()
        faults = [verdict.fault for verdict in verdicts if verdict.fault]
        if faults:
            raise WorkerError(faults[0])
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
