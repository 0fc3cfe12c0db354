"""Rebuild the catalogue from the store: files whose rows are missing get them again.

After a start and once a day, a little at a time: the database may have come back from a backup
that is older than the newest files. Until when every file has its row stands in the database and
comes back with it, so only folders that changed since are looked into, however many there are.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.catalogue.intake import Catalogue
from receiver.inbox import OBJECT_SUFFIX
from receiver.instance.stored import STORE
from schema.database import Database, read_clock
from schema.storage import Storage
from schema.tables import StoreCheck

log = structlog.get_logger()

PORTION: Final = 1000  # files looked up in one query, some milliseconds
FOLDERS: Final = 200  # of studies between two looks at the clock, some milliseconds too
TURN_S: Final = 0.2  # a turn is short, so that it holds up no other step
MARGIN: Final = timedelta(hours=1)  # between the clocks of the database and of the storage
AGAIN_S: Final = 86_400.0


@dataclass
class Walk:
    """A walk through the store that began then, for what changed since; all of it if None."""

    began: datetime
    since: datetime | None
    portions: Iterator[list[Path]]


class Rebuilder:
    """Goes through the store again and again, a turn at a time."""

    def __init__(self, catalogue: Catalogue, database: Database, storage: Path) -> None:
        self._catalogue = catalogue
        self._database = database
        self._store = storage / STORE
        self._storage = Storage.at(storage)
        self._walk: Walk | None = None
        self._portion: list[Path] = []
        self._due_at = 0.0
        self._added = 0

    def look_further(self) -> int:
        """Look on for a moment; return how many rows were missing.

        A portion that fails is looked at again: the database may be away.
        """
        end, added = time.monotonic() + TURN_S, 0
        while self._due_at <= time.monotonic() < end:
            added += self._look_at_a_portion()
        return added

    def _look_at_a_portion(self) -> int:
        self._walk = self._walk or self._begin()
        if not self._portion and not self._find_portion(self._walk):
            self._finish(self._walk)
            return 0
        added = self._catalogue.add_missing(self._portion)
        self._portion = []
        self._added += added
        return added

    def _begin(self) -> Walk:
        with self._database.reading() as session:
            check = self._check(session)
            since = None if check is None else check.checked_until
            began = read_clock(session)
        return Walk(began, since, _portions(self._store, since))

    def _find_portion(self, walk: Walk) -> bool:
        """Find the next portion; False at the end. A storage that fails has the walk begin anew."""
        try:
            portion = next(walk.portions, None)
        except OSError:
            self._walk = None
            raise
        self._portion = portion or []
        return portion is not None

    def _finish(self, walk: Walk) -> None:
        if self._added:
            log.warning("rows were missing and are rebuilt from the files", instances=self._added)
        if self._store.is_dir():  # one that was never there, or is away, tells nothing
            self._note(walk)
        self._walk, self._added = None, 0
        self._due_at = time.monotonic() + AGAIN_S

    def _note(self, walk: Walk) -> None:
        with self._database.transaction() as session:
            check = self._check(session)
            if check is None:
                session.add(StoreCheck(checked_until=walk.began, storage=self._storage.identity))
            elif check.checked_until == walk.since:  # else a backup came back in the meantime
                check.checked_until = walk.began

    def _check(self, session: Session) -> StoreCheck | None:
        own = StoreCheck.storage == self._storage.identity
        return session.scalar(select(StoreCheck).where(own))


def _portions(store: Path, since: datetime | None) -> Iterator[list[Path]]:
    """Yield files of folders that changed, so many at most; few or none after so many folders."""
    found: list[Path] = []
    studies = (study for prefix in _folders(store) for study in _folders(prefix.path))
    for number, study in enumerate(studies, 1):
        found += (path for each in _folders(study.path) for path in _files(each, since))
        while len(found) >= PORTION or (found and number % FOLDERS == 0):
            yield found[:PORTION]
            found = found[PORTION:]
        if number % FOLDERS == 0:
            yield []
    if found:
        yield found


def _folders(path: str | Path) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(path) as entries:
            yield from [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return  # gone since it was listed


def _files(series: "os.DirEntry[str]", since: datetime | None) -> Iterator[Path]:
    try:
        changed_at = series.stat().st_mtime
        if since is None or changed_at >= (since - MARGIN).timestamp():
            yield from (path for path in Path(series.path).iterdir() if _is_object(path))
    except FileNotFoundError:
        return


def _is_object(path: Path) -> bool:
    return path.suffix == OBJECT_SUFFIX
