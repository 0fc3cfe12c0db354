"""Writes into the tables whom the acceptors turned away; they themselves need no database."""

from receiver.counts import counts_folder, read_rejections
from schema.database import Database
from schema.monitoring.rejections import Refused, add_rejections
from schema.settings import Settings


class RejectionLedger:
    """Adds to the rows of the hour what was counted since the last time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._folder = counts_folder(settings)
        self._database = database
        self._written: dict[tuple[str, str, str], int] = {}

    def write(self) -> int:
        """Write what is new; return how many rejections."""
        counted = read_rejections(self._folder)
        new = {
            Refused(*key): rise
            for key, count in counted.items()
            if (rise := count - self._written.get(key, 0)) > 0
        }
        if new:
            with self._database.transaction() as session:
                add_rejections(session, new)
        self._written = counted
        return sum(new.values())
