"""Say so where the storage holds none of the last images: its volume may not be mounted."""

from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select

from schema.database import Database
from schema.storage import Storage
from schema.tables import Instance

log = structlog.get_logger()

LAST: Final = 10_000  # images that are looked at


def warn_of_new_storage(database: Database, path: Path) -> None:
    """Log an error if the last images in the tables lie on other storages than this one.

    Nobody can tell a new storage from the folder below a mount, and both are received into. Whoever
    reads the line of a start ends the second before the volume is mounted over what came.
    """
    here = Storage.at(path).identity
    with database.reading() as session:
        last = select(Instance.storage).order_by(Instance.id.desc()).limit(LAST).subquery()
        known = set(session.scalars(select(last.c.storage).distinct())) - {None}
    if known and here not in known:
        log.error(
            "this storage holds none of the last images; is the volume mounted? if not, end the"
            " receiver, mount it, and copy into it what has come",
            storage=str(path),
            identity=str(here),
            others=sorted(map(str, known)),
        )
