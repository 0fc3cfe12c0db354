"""Open what is there: a command that reads makes no folder, no file and no table."""

from datetime import timedelta

from schema.canaries import without_canaries
from schema.database import Database, connect_to_read, open_database, require_fit
from schema.errors import DatabaseUnavailableError
from schema.settings import Settings
from worklist.window import Window


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
    return without_canaries(open_database(settings))


def default_window(settings: Settings, limit: int) -> Window:
    """Give what the list shows unless told otherwise."""
    return Window(
        limit=limit,
        recent=timedelta(hours=settings.worklist_recent_h),
        late=timedelta(seconds=settings.study_late_s),
    )
