"""The database: engine, sessions, its clock and its migrations, for SQLite and PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy.orm import Session

from schema.errors import DatabaseUnavailableError
from schema.settings import Settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_S = 30  # how long SQLite waits for another writer
CONNECT_TIMEOUT_S = 5
SQLITE = "sqlite"
READ_ONLY = {"triage_read_only": True}
DISCREET = {"hide_parameters": True}  # errors are logged, and a statement's values name patients


class Database:
    """Sessions on one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

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
                yield session
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise DatabaseUnavailableError(f"database: {error.orig}") from error

    def now(self) -> datetime:
        """Read the database's clock, the one that every host shares."""
        with self.reading() as session:
            return read_clock(session)


def read_clock(session: Session) -> datetime:
    """Read the database's clock; with SQLite that is this host's."""
    if session.get_bind().dialect.name == SQLITE:
        return datetime.now(UTC)
    clock = sa.cast(sa.func.clock_timestamp(), sa.DateTime(timezone=True))
    return session.execute(sa.select(clock)).scalar_one().astimezone(UTC)


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
        current = is_current(database)
    except DatabaseUnavailableError:
        database.engine.dispose()
        raise
    if not current:
        database.engine.dispose()
        raise DatabaseUnavailableError(
            "database: not at the newest migration; run python -m schema upgrade"
        )
    return database


def connect(settings: Settings) -> Database:
    """Make the engine without touching the tables."""
    url = sa.make_url(settings.database)
    if url.get_backend_name() != SQLITE:
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S}
        return Database(
            sa.create_engine(url, pool_pre_ping=True, connect_args=arguments, **DISCREET)
        )
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S}, **DISCREET)
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


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


def upgrade(settings: Settings) -> None:
    """Bring the tables to the newest migration; one process at a time on the embedded default."""
    if not settings.embedded:
        _upgrade(settings)
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with FileLock(settings.home / "migration.lock"):
        _upgrade(settings)


def _upgrade(settings: Settings) -> None:
    database = connect(settings)
    try:
        if not is_current(database):
            with database.engine.begin() as connection:
                config = alembic_config()
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except sa.exc.OperationalError as error:
        raise DatabaseUnavailableError(f"database: {error.orig}") from error
    finally:
        database.engine.dispose()


def is_current(database: Database) -> bool:
    """Say whether the tables are at the newest migration.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer.
    """
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    try:
        with database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() == head
    except sa.exc.OperationalError as error:
        raise DatabaseUnavailableError(f"database: {error.orig}") from error


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
