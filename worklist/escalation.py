"""Look again and again for critical results that nobody has seen."""

import threading
from datetime import timedelta
from types import TracebackType

import structlog

from schema.database import Database
from schema.errors import TriageError
from worklist.acknowledgement import escalate

log = structlog.get_logger()
LOOK_S = 10.0


class Escalation:
    """A thread that looks every few seconds until it is left."""

    def __init__(self, database: Database, after: timedelta) -> None:
        self._database = database
        self._after = after
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="escalation", daemon=True)

    def __enter__(self) -> "Escalation":
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._leaving.wait(LOOK_S):
            try:
                if count := escalate(self._database, self._after):
                    log.warning("critical_studies_unread", studies=count)
            except TriageError as error:
                log.error("escalation_failed", error=str(error))
