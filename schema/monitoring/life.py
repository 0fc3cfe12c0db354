"""Looks after one running part: whether it is ready, and its sign of life in the tables."""

import threading
import time
from collections.abc import Callable, Mapping, Set
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.database import Database, require_fit, require_writable
from schema.errors import TransientError, describe
from schema.monitoring.signs import SIGN_S, Model, Part, Sign, give_sign
from schema.states import ProcessState

log = structlog.get_logger()

STALE_S: Final = 30.0  # a look that takes longer hangs: whatever it looks at does not answer
STOP_S: Final = 5.0
SURROUNDINGS: Final = frozenset(("storage", "database"))  # checks of what goes and comes back

Check = Callable[[], str | None]
"""What is missing, in words for an operator; None where nothing is."""


def database_missing(database: Database) -> str | None:
    """Say why the database cannot be worked with, or nothing."""
    try:
        require_fit(database)
        require_writable(database)
    except TransientError as error:
        return str(error)
    return None


class Life:
    """Looks every few seconds whether a part is ready, and writes it down.

    Two threads: a database that hangs holds up no look, and a storage that hangs no sign of life.

    Parameters
    ----------
    checks
        By name; each is asked in turn, from one thread.
    model
        Gives the model that is loaded, where the part has one.
    instance
        Which of its kind on this host it is.
    interval_s
        From one look to the next.
    """

    def __init__(
        self,
        part: Part,
        database: Database,
        checks: Mapping[str, Check],
        model: Callable[[], Model | None] = lambda: None,
        interval_s: float = SIGN_S,
        instance: str = "",
    ) -> None:
        self.part = part
        self._database = database
        self._checks = checks
        self._model = model
        self._interval_s = interval_s
        self._instance = instance
        self._missing: Mapping[str, str] | None = None  # None before the first look
        self._looked_at = time.monotonic()
        self._there: Set[str] = frozenset()  # of the surroundings, at the last look
        self._away: Set[str] = frozenset()  # what the log said is away
        self._failing = False
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(action,), name=name, daemon=True)
            for name, action in (("look", self.look), ("sign of life", self.sign))
        ]

    @property
    def missing(self) -> Mapping[str, str]:
        """What the part lacks to be ready, by the name of its check; empty when it is ready."""
        if time.monotonic() - self._looked_at > STALE_S:
            return {"look": f"a look at this part hangs for more than {STALE_S:g} s"}
        return {"start": "it starts"} if self._missing is None else self._missing

    @property
    def model(self) -> Model | None:
        """The model that is loaded."""
        return self._model()

    def start(self) -> None:
        """Begin to look and to write."""
        for thread in self._threads:
            thread.start()

    def stop(self, fault: str | None = None) -> None:
        """Write that the part ends: by its operator, or by a fault of its own."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(STOP_S)
        self._write(ProcessState.FAILED if fault else ProcessState.STOPPED, fault)

    def look(self) -> None:
        """Ask every check."""
        found = {name: missing for name, check in self._checks.items() if (missing := check())}
        self._missing, self._looked_at = found, time.monotonic()
        self._tell(found)

    def sign(self) -> None:
        """Write how the part does."""
        missing = self.missing
        state = ProcessState.NOT_READY if missing else ProcessState.READY
        state = ProcessState.STARTING if self._missing is None else state
        self._write(state, "; ".join(missing.values()) or None)

    def _tell(self, missing: Mapping[str, str]) -> None:
        """Log what of the surroundings went since the last look and what is back, once each."""
        gone = self._there & missing.keys()
        for name in sorted(gone):
            log.warning(f"{name} is away", part=self.part, reason=missing[name])
        for name in sorted(self._away - missing.keys()):
            log.info(f"{name} is back", part=self.part)
        self._away = (self._away & missing.keys()) | gone
        self._there = (SURROUNDINGS & self._checks.keys()) - missing.keys()

    def _repeat(self, action: Callable[[], None]) -> None:
        while True:
            try:
                action()
            except Exception as error:  # noqa: BLE001 - the edge: the watch must outlive anything
                log.error("look at this part failed", reason=describe(error))
            if self._stopped.wait(self._interval_s):
                return

    def _write(self, state: ProcessState, reason: str | None) -> None:
        try:
            with self._database.transaction() as session:
                sign = Sign(self.part, state, reason, self._model(), self._instance)
                give_sign(session, sign)
        except (TransientError, SQLAlchemyError) as error:
            self._note(failing=True, reason=describe(error))
        else:
            self._note(failing=False)

    def _note(self, *, failing: bool, reason: str = "") -> None:
        """Log the first failure, not one every few seconds all night."""
        if failing and not self._failing:
            log.warning("sign of life not written, will try again", reason=reason)
        self._failing = failing
