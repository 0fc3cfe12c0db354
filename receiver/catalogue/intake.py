"""The catalogue: what lies in the inbox becomes rows, and moves to its place in the store.

Rows first, then the move: whatever is interrupted is found in the inbox again and taken in once.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from receiver.catalogue.canary_marks import without_forgotten
from receiver.catalogue.rows import known_paths, register
from receiver.inbox import CLOSED, OBJECT_SUFFIX, SENDER, folders, read_sender, was_aborted
from receiver.instance.stored import STORE, StoredObject, read_stored
from receiver.protocol.file_meta import digest_matches
from schema.database import Database, read_clock
from schema.errors import TransientError, UnreadableObjectError, describe
from schema.storage import Storage
from schema.tables import Association

log = structlog.get_logger()

BATCH: Final = 256  # rows in one commit: a commit costs as much as 32 rows
SOME: Final = BATCH  # in one step, half a second: whatever came meanwhile takes its turn
QUARANTINE: Final = "quarantine"


@dataclass(frozen=True)
class InboxFolder:
    """What one association has in the inbox; `closed` if no more of it comes."""

    folder: Path
    closed: bool
    objects: Sequence[Path]


@dataclass
class Round:
    """What became of the objects of one round.

    Attributes
    ----------
    new, passed
        How many got a row, and how many have one now.
    faults
        Those on which this software fails, with where it does.
    """

    new: int = 0
    passed: int = 0
    faults: dict[Path, str] = field(default_factory=dict)


class Catalogue:
    """Takes objects from the inbox into the database and the store.

    Parameters
    ----------
    share
        Lists the folders of the inbox that are to be taken in; all of them without it.
    """

    def __init__(
        self, database: Database, storage: Path, share: Callable[[], Sequence[Path]] | None = None
    ) -> None:
        self._database = database
        self._storage = Storage.at(storage).path  # a new one gets its identity
        self._share = share or (lambda: folders(storage))
        self._failing: set[Path] = set()

    def take_some(self) -> int:
        """Take in what a second is enough for, so that what comes meanwhile is seen soon."""
        return self.take_in(SOME)

    def take_in(self, limit: int | None = None) -> int:
        """Take in what waits, so many objects at most; return how many were new.

        The associations take turns, so that thousands of images of one patient delay no other.
        """
        waiting = self._look()
        paths = _in_turn([each.objects for each in waiting])
        # Behind all others: what fails in every round must not take their places.
        paths = sorted(paths, key=self._failing.__contains__)[:limit]
        done = Round()
        for start in range(0, len(paths), BATCH):
            self._take_in_batch(self._read(paths[start : start + BATCH]), done)
        self._judge(done)
        taken = set(paths)
        self._close([each.folder for each in waiting if each.closed and taken >= {*each.objects}])
        return done.new

    def _look(self) -> list[InboxFolder]:
        return [_look(folder) for folder in self._share()]

    def add_missing(self, paths: Sequence[Path]) -> int:
        """Give files of the store the rows that they lack; return how many were added."""
        if not paths:
            return 0
        with self._database.reading() as session:
            known = known_paths(session, [str(path.relative_to(self._storage)) for path in paths])
        missing = [path for path in paths if str(path.relative_to(self._storage)) not in known]
        done = Round()
        if missing:
            self._take_in_batch(self._read(missing), done)
        for path, fault in done.faults.items():
            self._report(path, fault)
        return done.new

    def _take_in_batch(self, objects: Sequence[StoredObject], done: Round) -> None:
        """Register and move; an object that cannot be registered holds up none of the others."""
        try:
            done.new += self._register(objects)
        except TransientError:
            raise
        except Exception as error:  # noqa: BLE001 - an edge: whatever it is, others have their turn
            half = len(objects) // 2
            if half == 0:
                self._note_fault(objects[0].path, error, done)
                return
            for part in (objects[:half], objects[half:]):
                self._take_in_batch(part, done)
            return
        done.passed += len(objects)
        for stored in objects:
            self._store(stored)

    def _note_fault(self, path: Path, error: Exception, done: Round) -> None:
        if isinstance(error, DBAPIError):  # it may take it later
            self._report(path, f"the database refuses it: {type(error.orig).__name__}")
        else:
            done.faults[path] = f"error in this software: {describe(error)}"

    def _judge(self, done: Round) -> None:
        """Set aside what fails beside others that pass; where none does, all wait for the mend."""
        for path, fault in done.faults.items():
            if done.passed:
                self._set_aside(path, fault)
            else:
                self._report(path, fault)

    def _store(self, stored: StoredObject) -> None:
        try:
            _keep(stored, self._storage / stored.place)
        except OSError as error:  # perhaps a file where a folder belongs: it stays in the inbox
            self._report(stored.path, f"cannot be moved to the store: {error.strerror}")

    def _register(self, objects: Sequence[StoredObject]) -> int:
        folders = {each.association: each.path.parent for each in objects if each.association}
        senders = {name: read_sender(folder) for name, folder in folders.items()}
        here = Storage.seen(self._storage)  # each time: another may be mounted meanwhile
        with self._database.transaction() as session:
            objects = without_forgotten(session, self._storage, objects)
            return register(session, objects, senders, here, read_clock(session)) if objects else 0

    def _read(self, paths: Iterable[Path]) -> list[StoredObject]:
        objects = []
        for path in paths:
            inside = path.is_relative_to(self._storage / STORE)
            try:
                objects.append(read_stored(path, None if inside else path.parent.name))
            except UnreadableObjectError as error:
                self._set_aside(path, str(error))
            except OSError as error:
                self._report(path, str(error.strerror))
        return objects

    def _set_aside(self, path: Path, reason: str) -> None:
        name = f"{path.parent.name}-{path.name}"
        log.error("object set aside", file=name, folder=QUARANTINE, reason=reason)
        _put(path, self._storage / QUARANTINE / name)

    def _report(self, path: Path, reason: str) -> None:
        """Say once what keeps an object in its place; it is tried again in every round."""
        if path not in self._failing:
            self._failing.add(path)
            log.error("object not catalogued", file=path.name, reason=reason)

    def _close(self, folders: Sequence[Path]) -> None:
        if not folders:
            return
        with self._database.transaction() as session:
            now = read_clock(session)
            for aborted in (False, True):
                names = [folder.name for folder in folders if was_aborted(folder) is aborted]
                over = update(Association).where(Association.name.in_(names))
                session.execute(over.values(closed_at=now, aborted=aborted))
        for folder in folders:
            _clear_away(folder)


def close_lost_associations(database: Database, storage: Path) -> int:
    """End the associations of this storage that have no folder; return how many.

    The database came back from a backup of a time at which they were open.
    """
    here = Storage.seen(storage)
    still_open = select(Association.id, Association.name, Association.storage)
    with database.reading() as session:
        rows = session.execute(still_open.where(Association.closed_at.is_(None))).all()
    names = {folder.name for folder in folders(storage)}
    lost = [row.id for row in rows if here.holds(row.storage) and row.name not in names]
    if lost:
        with database.transaction() as session:
            over = update(Association).where(Association.id.in_(lost))
            session.execute(over.values(closed_at=read_clock(session)))
    return len(lost)


def _in_turn(queues: Sequence[Sequence[Path]]) -> list[Path]:
    """Take the first of each queue, then the second, ..."""
    rounds = zip_longest(*queues)
    return [path for each in rounds for path in each if path is not None]


def _look(folder: Path) -> InboxFolder:
    closed = (folder / CLOSED).exists()  # before the listing: a later object is not missed
    return InboxFolder(folder, closed, sorted(folder.glob(f"*{OBJECT_SUFFIX}")))


def _clear_away(folder: Path) -> None:
    """Remove the folder of an association that is over, unless an object still waits in it."""
    if any(folder.glob(f"*{OBJECT_SUFFIX}")):
        return
    for name in (SENDER, CLOSED):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # not empty: it is looked at again in the next round
        folder.rmdir()


def _keep(stored: StoredObject, target: Path) -> None:
    """Move an object to its place; one that lies there whole stays, with the encoding of its row.

    Two compressed syntaxes may share a dataset without pixels to the byte, and not the file around
    it; the newer file's time is kept, because it says which content is the newest.
    """
    if stored.path != target and target.exists() and digest_matches(target):
        stored_at_ns = stored.path.stat().st_mtime_ns
        os.utime(target, ns=(stored_at_ns, stored_at_ns))
        stored.path.unlink()
    else:
        _put(stored.path, target)


def _put(source: Path, target: Path) -> None:
    if source != target:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
