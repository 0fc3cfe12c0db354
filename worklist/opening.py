"""Open what is there: a command that reads makes no folder, no file and no table."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from schema.canaries import without_canaries
from schema.database import SQLITE, Database, connect_to_read, open_database, require_fit
from schema.errors import DatabaseUnavailableError
from schema.settings import Settings
from worklist.window import Window

# Of a database: a connection ends where nothing is acknowledged for so long. A statement that takes
# long, as an export does, is no silence: the other host answers the keepalives.
SILENCE = {
    "tcp_user_timeout": 10_000,  # ms
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}


def open_to_read(settings: Settings) -> Database:
    """Open the database of a system that runs already.

    Raises
    ------
    SettingsError
        If no database is where the settings say.
    DatabaseUnavailableError
        If it does not answer, its migrations are behind, or it is too new.
    """
    database = connect_to_read(settings)
    _leave_silence(database)
    try:
        require_fit(database)
    except DatabaseUnavailableError:
        database.engine.dispose()
        raise
    return without_canaries(database)


def open_to_serve(settings: Settings) -> Database:
    """Open the database for the page, which migrates the embedded default.

    Raises
    ------
    DatabaseUnavailableError
        If it does not answer, its migrations are behind, or it is too new.
    """
    database = open_database(settings)
    _leave_silence(database)
    database.engine.dispose()  # what was opened before waits for ever
    return without_canaries(database)


def _leave_silence(database: Database) -> None:
    if database.engine.dialect.name != SQLITE:
        sa.event.listen(database.engine, "do_connect", _give_up_on_silence)


def _give_up_on_silence(
    _dialect: sa.Dialect, _record: object, _given: object, options: dict[str, Any]
) -> None:
    # A network that swallows everything would keep the page's threads, each with its reader, and a
    # terminal with an older list on it.
    options.update(SILENCE)


def default_window(settings: Settings, limit: int) -> Window:
    """Give what the list shows unless told otherwise."""
    return Window(
        limit=limit,
        recent=timedelta(hours=settings.worklist_recent_h),
        late=timedelta(seconds=settings.study_late_s),
    )
