"""One receiver leads: it alone does what must be done by one, as long as it holds the lock.

On PostgreSQL that is an advisory lock of a connection of its own. The server frees it when the
connection ends, and ends one that has been silent for a while, as that of a host without power.
With SQLite all receivers are on one host, and the lock is that of a file beside the database.
"""

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import sqlalchemy as sa
import structlog
from filelock import FileLock, Timeout

from schema.database import SQLITE, Database, lock_key
from schema.errors import DatabaseUnavailableError

log = structlog.get_logger()

LOOK_S: Final = 1.0
SILENT_S: Final = 3.0  # and a look later another leads


class Lock(Protocol):
    """What one process holds at a time."""

    def hold(self) -> bool:
        """Take the lock, or see that it is still held; say whether it is."""


class Leadership:
    """Whether this receiver leads, by a name of what it leads."""

    def __init__(self, database: Database, name: str) -> None:
        sqlite = database.engine.dialect.name == SQLITE
        self._lock: Lock = HostLock(database, name) if sqlite else AdvisoryLock(database, name)
        self._name = name
        self._turn = threading.Lock()
        self._holds = False
        self._asked_at = -SILENT_S

    def seek(self) -> None:
        """Become the leader if there is none, or see whether we still are.

        Raises
        ------
        DatabaseUnavailableError
            If the database does not answer; then nobody leads.
        """
        with self._turn:
            asked_at, holds = time.monotonic(), False
            try:
                holds = self._lock.hold()
            finally:
                if holds != self._holds:
                    log.info(
                        "receiver leads" if holds else "receiver leads no more", what=self._name
                    )
                self._asked_at, self._holds = asked_at, holds

    def leads(self) -> bool:
        """Say whether this receiver leads, as it was told before another could be told so."""
        if time.monotonic() - self._asked_at >= SILENT_S:
            self.seek()
        return self._holds

    def alone(self, action: Callable[[], object]) -> Callable[[], object]:
        """Make an action that is done only while this receiver leads."""
        return lambda: action() if self.leads() else None


class AdvisoryLock:
    """An advisory lock of PostgreSQL."""

    def __init__(self, database: Database, name: str) -> None:
        self._engine = database.engine
        self._ask = sa.select(sa.func.pg_try_advisory_lock(lock_key(name)))
        self._connection: sa.Connection | None = None

    def hold(self) -> bool:
        """Ask for the lock; whoever has it may ask again."""
        try:
            self._connection = self._connection or self._connect()
            return bool(self._connection.scalar(self._ask))
        except sa.exc.DBAPIError as error:
            if self._connection is not None:
                with suppress(sa.exc.DBAPIError):
                    self._connection.close()
            self._connection = None
            raise DatabaseUnavailableError(f"database: {error.orig}") from error

    def _connect(self) -> sa.Connection:
        own = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        own.detach()  # never of use to others, not even when it is closed
        weakref.finalize(self, own.close)
        own.exec_driver_sql(f"SET idle_session_timeout = '{SILENT_S:g}s'")
        return own


class HostLock:
    """The lock of a file beside an SQLite database."""

    def __init__(self, database: Database, name: str) -> None:
        path = Path(str(database.engine.url.database))
        own = path.with_name(f"leader-{lock_key(name) % 2**64:016x}.lock")
        self._lock = FileLock(own, thread_local=False)  # each lane has a thread of its own

    def hold(self) -> bool:
        """Ask for the lock; whoever has it may ask again."""
        if not self._lock.is_locked:
            with suppress(Timeout):
                self._lock.acquire(blocking=False)
        return self._lock.is_locked
