"""Marks of our canaries in the storage, which outlive a database that comes back from a backup.

A file beside the store, written before anything is sent: no sender writes there, and none knows
the UID. It leaves out what we sent to the byte, and nothing else.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.instance.stored import StoredObject, study_place
from schema.files import make_private, sync_folder
from schema.tables import Study

log = structlog.get_logger()

FOLDER: Final = "canaries"  # of the storage
SUFFIX: Final = ".json"


@dataclass(frozen=True)
class Mark:
    """A canary: its study, the hashes of the datasets that we send, and when."""

    study_instance_uid: str
    digests: frozenset[str]
    sent_at: datetime


def write_mark(storage: Path, mark: Mark) -> None:
    """Put a mark on disk, whole or not at all."""
    path = _path(storage, mark.study_instance_uid)
    make_private(path.parent)
    said = {
        "study_instance_uid": mark.study_instance_uid,
        "digests": sorted(mark.digests),
        "sent_at": mark.sent_at.isoformat(),
    }
    partial = path.with_suffix(".part")
    with partial.open("w", encoding="ascii") as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_folder(path.parent)


def remove_mark(storage: Path, mark: Mark) -> None:
    """Take a mark away; what it left out is a study as any other from then on."""
    _path(storage, mark.study_instance_uid).unlink(missing_ok=True)


def read_marks(storage: Path) -> Iterator[Mark]:
    """Read every mark of a storage."""
    found = (_read(path) for path in sorted((storage / FOLDER).glob(f"*{SUFFIX}")))
    return (mark for mark in found if mark is not None)


def is_known(session: Session, study_instance_uid: str) -> bool:
    """Say whether the database has a study, whose canary it then knows as well."""
    known = select(Study.id).where(Study.study_instance_uid == study_instance_uid)
    return session.scalar(known) is not None


def without_forgotten(
    session: Session, storage: Path, objects: Sequence[StoredObject]
) -> Sequence[StoredObject]:
    """Leave out the slices of canaries that the database forgot: they would come back as patients.

    One that came back with its study goes on as it did.
    """
    uids = {each.header.identity.study_instance_uid for each in objects}
    marks = {uid: mark for uid in uids if (mark := _read(_path(storage, uid)))}
    ours = {uid: mark.digests for uid, mark in marks.items() if not is_known(session, uid)}
    kept = [
        each
        for each in objects
        if each.sha256 not in ours.get(each.header.identity.study_instance_uid, ())
    ]
    if len(kept) < len(objects):
        log.info("slices of canaries get no rows again", instances=len(objects) - len(kept))
    return kept


def _path(storage: Path, study_instance_uid: str) -> Path:
    return storage / FOLDER / f"{Path(study_place(study_instance_uid)).name}{SUFFIX}"


def _read(path: Path) -> Mark | None:
    """Read a mark; one that is torn, or of root's, marks nothing and holds up no study."""
    try:
        said = json.loads(path.read_text(encoding="ascii"))
        sent_at = datetime.fromisoformat(said["sent_at"])
        return Mark(said["study_instance_uid"], frozenset(said["digests"]), sent_at)
    except (OSError, ValueError, KeyError, TypeError):
        return None
