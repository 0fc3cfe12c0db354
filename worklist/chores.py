"""What the page's process does again and again beside answering."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final

import structlog

from schema.errors import describe

log = structlog.get_logger()
PAUSE_S: Final = 10.0


class Chores:
    """A thread that does each of them every few seconds until it is left."""

    def __init__(self, *chores: Callable[[], object]) -> None:
        self._chores = chores
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def __enter__(self) -> "Chores":
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
        while not self._leaving.wait(PAUSE_S):
            for chore in self._chores:
                try:
                    chore()
                except Exception as error:  # noqa: BLE001 - the edge: one chore ends no other
                    log.error("chore_failed", error=describe(error))
