"""Whose turn it is: the most urgent job, and the one that has waited too long in turn with it."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.owners import release_orphans
from schema.queue import most_overdue, most_urgent
from schema.settings import Settings
from worker.lease import Lease, claim

NO_JOB = 0  # what a look that no message asked for names
MOST_TRIES = 50  # each lost to another worker, which has that job now


class Turns:
    """Takes jobs for one worker process.

    Parameters
    ----------
    clock
        Says how late it is, to a session of the database.
    """

    def __init__(self, clock: Callable[[Session], datetime] = read_clock) -> None:
        self._clock = clock
        self._by_age = True  # whether an overdue job, if there is one, has the next turn

    def take(self, database: Database, named: int, settings: Settings) -> Lease | None:
        """Claim the job whose turn it is; None where nothing waits.

        Parameters
        ----------
        named
            The job that the message names, which may be another.
        """
        release_orphans(database)
        for _ in range(MOST_TRIES):
            overdue, urgent = self._look(database, named)
            by_age = self._by_age and overdue is not None
            job_id = overdue if by_age else urgent
            if job_id is None:
                return None
            lease = claim(database, job_id, settings)
            if lease is not None:
                self._by_age = not by_age
                return lease
        return None

    def peek(self, database: Database) -> int | None:
        """Say which job this process would take now, and claim nothing."""
        overdue, urgent = self._look(database, NO_JOB)
        return overdue if self._by_age and overdue is not None else urgent

    def _look(self, database: Database, named: int) -> tuple[int | None, int | None]:
        with database.reading() as session:
            now = self._clock(session)
            return most_overdue(session, now, named), most_urgent(session, now, named)
