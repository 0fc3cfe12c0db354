"""Whether this process may take studies: it loaded and tried its engine, and nothing failed since.

A process that is not fit refuses every message without a look at the job.
"""

import threading
from typing import TYPE_CHECKING, Final

import structlog

from schema.errors import StorageAwayError, WorkerError
from schema.settings import Settings
from schema.storage import require_storage

if TYPE_CHECKING:
    from worker.engine import Engine

log = structlog.get_logger()

STORAGE_DEADLINE_S: Final = 30.0


class Fitness:
    """The engine of this process, or why there is none."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine: Engine | None = None
        self._fault: WorkerError | None = None
        self._turn = threading.Lock()

    def engine(self) -> "Engine":
        """Give the engine; load and try it first.

        Raises
        ------
        WorkerError
            What is wrong with this worker, now or since an earlier study.
        """
        with self._turn:
            if self._fault is not None:
                raise self._fault
            if self._engine is None:
                self._engine = self._load()
            return self._engine

    def give_up(self, fault: WorkerError) -> None:
        """Take no study any more, for this reason."""
        with self._turn:
            self._fault = self._fault or fault

    def examine(self) -> None:
        """Try the engine again, since an analysis ended in a way that nobody thought of.

        Raises
        ------
        WorkerError
            If it is the worker's fault.
        """
        try:
            self.engine().test()
        except WorkerError as fault:
            self.give_up(fault)
            raise

    def _load(self) -> "Engine":
        try:
            require_storage(self._settings, STORAGE_DEADLINE_S)
            # Here and not above: torch belongs into the process that analyses, not into its parent.
            from worker.engine import Engine

            engine = Engine(self._settings)
            engine.test()
        except StorageAwayError as error:
            self._fault = WorkerError(str(error))
            raise self._fault from error
        except WorkerError as fault:
            self._fault = fault
            raise
        log.info("worker passed its self-test")
        return engine
