"""The database: engine, sessions, its clock and its migrations, for SQLite and PostgreSQL."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from psycopg.errors import ReadOnlySqlTransaction, UndefinedTable
from sqlalchemy.orm import ORMExecuteState, Session

from schema.errors import DatabaseUnavailableError, SettingsError
from schema.lock_waits import limit_lock_waits, why_locked
from schema.settings import Settings, make_home
from schema.tables import Compatibility

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 30  # how long SQLite waits for another writer
CONNECT_TIMEOUT_S = 5
# A connection ends where PostgreSQL's host acknowledges nothing for so long. A network that
# swallows everything, or a host that is gone without a word, would keep a thread for a quarter of
# an hour. A statement that takes long is no silence: the host answers the keepalives.
SILENCE = {
    "tcp_user_timeout": 10_000,  # ms
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
SQLITE = "sqlite"
# Raised by one with each release (1 is 0.1.0); what `Compatibility.oldest_program` and a job's
# `needs_program` are held against.
PROGRAM = 2
UPGRADE_LOCK = 0x1_5B_11  # of PostgreSQL's advisory locks: ours for migrations
READ_ONLY = {"triage_read_only": True}
TAKES_NO_WRITES = (
    "read-only, as a standby is: connect to the primary, or end default_transaction_read_only"
)
DISCREET = {"hide_parameters": True}  # errors are logged, and a statement's values name patients


class Database:
    """Sessions on one database.

    Parameters
    ----------
    before_each
        Is shown each statement of the ORM before it is executed, and may change it.
    """

    def __init__(
        self, engine: sa.Engine, before_each: Callable[[ORMExecuteState], None] | None = None
    ) -> None:
        self.engine = engine
        self._before_each = before_each

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits at the end and rolls back on an error.

        Raises
        ------
        DatabaseUnavailableError
            If the database cannot be reached or dropped the connection.
        """
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads, and so never waits for a writer.

        Raises
        ------
        DatabaseUnavailableError
            If the database cannot be reached or dropped the connection.
        """
        with self._session(self.engine.execution_options(**READ_ONLY)) as session:
            yield session

    @contextmanager
    def _session(self, engine: sa.Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                if self._before_each is not None:
                    sa.event.listen(session, "do_orm_execute", self._before_each)
                yield session
        except sa.exc.DBAPIError as error:
            if not _is_outage(error):  # a mistake of ours
                raise
            raise DatabaseUnavailableError(f"database: {error.orig}") from error

    def now(self) -> datetime:
        """Read the database's clock, the one that every host shares."""
        with self.reading() as session:
            return read_clock(session)


def _is_outage(error: sa.exc.DBAPIError) -> bool:
    """Say whether a statement failed since the database is away, lacks a table or is read-only."""
    if isinstance(error, (sa.exc.OperationalError, sa.exc.InterfaceError)):
        return True
    return isinstance(error.orig, (UndefinedTable, ReadOnlySqlTransaction))


def read_clock(session: Session) -> datetime:
    """Read the database's clock; with SQLite that is this host's."""
    if session.get_bind().dialect.name == SQLITE:
        return datetime.now(UTC)
    clock = sa.cast(sa.func.clock_timestamp(), sa.DateTime(timezone=True))
    return session.execute(sa.select(clock)).scalar_one().astimezone(UTC)


def lock_key(name: str) -> int:
    """Give the number by which PostgreSQL knows an advisory lock."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def open_database(settings: Settings) -> Database:
    """Connect; bring the embedded default up to date; refuse another that is not.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer or its migrations are behind.
    """
    if settings.embedded:
        upgrade(settings)
    database = connect(settings)
    try:
        require_fit(database)
    except DatabaseUnavailableError:
        database.engine.dispose()
        raise
    return database


def connect(settings: Settings) -> Database:
    """Make the engine without touching the tables."""
    url = sa.make_url(settings.database)
    if url.get_backend_name() != SQLITE:
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S, **SILENCE}
        return Database(
            sa.create_engine(url, pool_pre_ping=True, connect_args=arguments, **DISCREET)
        )
    if url.database:
        _keep_private(Path(url.database))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, **DISCREET)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def connect_to_read(settings: Settings) -> Database:
    """Make the engine for a command that reads: it makes no folder, no file and no table.

    Raises
    ------
    SettingsError
        If no database is where the settings say.
    """
    url = sa.make_url(settings.database)
    if url.get_backend_name() == SQLITE and url.database and not Path(url.database).is_file():
        setting = "TRIAGE_HOME" if settings.embedded else "TRIAGE_DATABASE_URL"
        raise SettingsError(
            f"{setting}: there is no database {url.database}; start the system first, or correct it"
        )
    return connect(settings)


def _keep_private(path: Path) -> None:
    """Make the file for its owner alone; SQLite gives its journals the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with suppress(PermissionError):  # somebody else's
        for file in path.parent.glob(f"{path.name}*"):
            file.chmod(0o600)


def _prepare_sqlite(connection: object, _record: object) -> None:
    # The driver's own BEGIN comes too late to protect a read that is followed by a write.
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # Taking the write lock at once turns "database is locked" in mid-transaction into a wait.
    reads = READ_ONLY.items() <= connection.get_execution_options().items()
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


@dataclass(frozen=True)
class Upgrade:
    """From which revision to which tables were brought: the same where there was nothing to do."""

    before: str | None
    after: str | None


def upgrade(settings: Settings) -> Upgrade:
    """Bring the tables to the newest migration; one process at a time. Newer ones stay as they are.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer, or is too new for this program.
    """
    if not settings.embedded:
        return _upgrade(settings)
    make_home(settings)
    with FileLock(settings.home / "migration.lock"):
        return _upgrade(settings)


def _upgrade(settings: Settings) -> Upgrade:
    database = connect(settings)
    try:
        with database.engine.begin() as connection:
            if connection.dialect.name != SQLITE:  # whoever comes second finds it done
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(UPGRADE_LOCK)))
                limit_lock_waits(connection)
            found, before = _standing(connection), _revision(connection)
            if found is Standing.BEHIND:
                config = alembic_config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
            elif found is Standing.TOO_NEW:
                raise DatabaseUnavailableError(f"database: {found.value}")
            return Upgrade(before, _revision(connection))
    except sa.exc.DBAPIError as error:
        if not _is_outage(error):
            raise
        reason = why_locked(database.engine, error) or error.orig
        raise DatabaseUnavailableError(f"database: {reason}") from error
    finally:
        database.engine.dispose()


class Standing(Enum):
    """How the tables stand to this program."""

    CURRENT = "at the newest migration"
    BEHIND = "migrations are behind; run python -m schema upgrade"
    NEWER = "newer than this program, which may still run on it"
    TOO_NEW = "newer than this program, which may not run on it; install the release that is there"


def standing(database: Database) -> Standing:
    """Say how the tables stand to this program.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer.
    """
    try:
        with database.engine.connect() as connection:
            return _standing(connection)
    except sa.exc.OperationalError as error:
        raise DatabaseUnavailableError(f"database: {error.orig}") from error


def _standing(connection: sa.Connection) -> Standing:
    scripts = ScriptDirectory.from_config(alembic_config())
    revision = _revision(connection)
    if revision == scripts.get_current_head():
        return Standing.CURRENT
    if revision is None or revision in {script.revision for script in scripts.walk_revisions()}:
        return Standing.BEHIND
    oldest = connection.scalar(sa.select(sa.func.max(Compatibility.oldest_program)))
    return Standing.NEWER if (oldest or 0) <= PROGRAM else Standing.TOO_NEW


def _revision(connection: sa.Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def require_fit(database: Database) -> None:
    """Refuse tables that this program cannot work with.

    Raises
    ------
    DatabaseUnavailableError
        If they are behind, or too new, or the database does not answer.
    """
    found = standing(database)
    if found not in (Standing.CURRENT, Standing.NEWER):
        raise DatabaseUnavailableError(f"database: {found.value}")


def require_writable(database: Database) -> None:
    """Refuse a database that answers and takes no writes, such as a standby after a failover.

    Raises
    ------
    DatabaseUnavailableError
        If its transactions are read-only, or it does not answer.
    """
    with database.reading() as session:
        if session.get_bind().dialect.name == SQLITE:
            return
        if session.scalar(sa.text("SHOW transaction_read_only")) == "on":
            raise DatabaseUnavailableError(f"database: {TAKES_NO_WRITES}")


def is_current(database: Database) -> bool:
    """Say whether the tables are at the newest migration that this program knows."""
    return standing(database) is Standing.CURRENT


def alembic_config() -> Config:
    """Tell Alembic where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def patiently(write: Callable[[], None], deadline_s: float) -> None:
    """Write, and again until the deadline while the database is away."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            write()
        except DatabaseUnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
        else:
            return


def wait_for_database(settings: Settings, deadline_s: float) -> Database:
    """Open the database, trying again until the deadline (a host may start before its database)."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            return open_database(settings)
        except DatabaseUnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(1)
