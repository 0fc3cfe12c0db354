"""The catalogue: what lies in the inbox becomes rows, and moves to its place in the store.

Rows first, then the move: whatever is interrupted is found in the inbox again and taken in once.
"""

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from receiver.header import Header, read_header
from receiver.inbox import CLOSED, FOLDER, OBJECT_SUFFIX, read_sender
from schema.database import Database, read_clock
from schema.errors import UnreadableObjectError
from schema.settle import settle
from schema.states import JobState, SeriesState, move
from schema.tables import Association, Instance, Series, Study

log = structlog.get_logger()

BATCH: Final = 256  # rows in one commit: a commit costs as much as 32 rows
STORE: Final = "received"
QUARANTINE: Final = "quarantine"
META_LENGTH_OFFSET: Final = 140  # value of (0002,0000), behind preamble, DICM, tag, VR and length


@dataclass(frozen=True)
class Arrival:
    """An object in the inbox, read and ready for its row."""

    path: Path
    header: Header
    sha256: str
    size_bytes: int


class Catalogue:
    """Takes objects from the inbox into the database and the store."""

    def __init__(self, database: Database, storage: Path) -> None:
        self._database = database
        self._storage = storage

    def close_all_associations(self) -> None:
        """Note that no association of an earlier run is open any more."""
        with self._database.transaction() as session:
            open_ones = update(Association).where(Association.closed_at.is_(None))
            session.execute(open_ones.values(closed_at=read_clock(session)))

    def take_in(self) -> int:
        """Take in everything that waits; return how many objects were new."""
        return sum(self._take_in_folder(path) for path in (self._storage / FOLDER).iterdir())

    def _take_in_folder(self, folder: Path) -> int:
        closed = (folder / CLOSED).exists()  # before the listing: a later object is not missed
        waiting = sorted(folder.glob(f"*{OBJECT_SUFFIX}"))
        new = sum(
            self._take_in_batch(folder, waiting[start : start + BATCH])
            for start in range(0, len(waiting), BATCH)
        )
        if closed:
            self._close_association(folder)
        return new

    def _take_in_batch(self, folder: Path, paths: list[Path]) -> int:
        arrivals = [arrival for path in paths if (arrival := self._read(path)) is not None]
        with self._database.transaction() as session:
            now = read_clock(session)
            association = _association(session, folder)
            rows = [_register(session, arrival, association, now) for arrival in arrivals]
            for study in {instance.series.study for instance, _ in rows}:
                settle(session, study)
            places = [self._storage / instance.path for instance, _ in rows]
        for arrival, place in zip(arrivals, places, strict=True):
            _put(arrival.path, place)
        return sum(is_new for _, is_new in rows)

    def _read(self, path: Path) -> Arrival | None:
        try:
            header = read_header(path)
        except UnreadableObjectError as error:
            log.error("object set aside", file=path.name, folder=QUARANTINE, reason=str(error))
            _put(path, self._storage / QUARANTINE / f"{path.parent.name}-{path.name}")
            return None
        return Arrival(path, header, _dataset_sha256(path), path.stat().st_size)

    def _close_association(self, folder: Path) -> None:
        with self._database.transaction() as session:
            _association(session, folder).closed_at = read_clock(session)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def _association(session: Session, folder: Path) -> Association:
    query = select(Association).where(Association.name == folder.name)
    association = session.scalars(query).one_or_none()
    if association is None:
        sender = read_sender(folder)
        association = Association(
            name=folder.name,
            calling_ae=sender.calling_ae,
            peer=sender.peer,
            opened_at=datetime.fromisoformat(sender.opened_at),
        )
        session.add(association)
    return association


def _register(
    session: Session, arrival: Arrival, association: Association, now: datetime
) -> tuple[Instance, bool]:
    """Give the row of an arrival and whether it is new; the same content has one row for ever."""
    series = _series(session, arrival.header, now)
    uid = arrival.header.identity.sop_instance_uid
    query = select(Instance).where(
        Instance.series_id == series.id, Instance.sop_instance_uid == uid
    )
    versions = session.scalars(query).all()
    for known in versions:
        if known.sha256 == arrival.sha256:
            return known, False
    instance = _instance(arrival, series, association, len(versions) + 1, now)
    session.add(instance)
    session.flush()
    _note_arrival(series, now)
    if versions:
        log.warning("other content under a known UID", sop_instance_uid=uid)
    return instance, True


def _instance(
    arrival: Arrival, series: Series, association: Association, version: int, now: datetime
) -> Instance:
    identity = arrival.header.identity
    return Instance(
        series=series,
        association=association,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        transfer_syntax_uid=arrival.header.transfer_syntax_uid,
        version=version,
        path=_place(arrival),
        size_bytes=arrival.size_bytes,
        sha256=arrival.sha256,
        received_at=now,
    )


def _note_arrival(series: Series, now: datetime) -> None:
    """Move the series' clock; what was already decided is opened again as a new revision."""
    series.last_instance_at = now
    if series.state == SeriesState.RECEIVING:
        return
    series.state = move(series.state, SeriesState.RECEIVING)
    series.revision += 1
    for job in series.jobs:
        if job.state == JobState.READY:
            job.state = move(job.state, JobState.SUPERSEDED)


def _study(session: Session, header: Header, now: datetime) -> Study:
    uid = header.identity.study_instance_uid
    study = session.scalars(select(Study).where(Study.study_instance_uid == uid)).one_or_none()
    if study is None:
        study = Study(
            study_instance_uid=uid,
            patient_id=header.patient_id,
            patient_name=header.patient_name,
            accession_number=header.accession_number,
            study_date=header.study_date,
            study_description=header.study_description,
            received_at=now,
        )
        session.add(study)
        session.flush()
    return study


def _series(session: Session, header: Header, now: datetime) -> Series:
    study = _study(session, header, now)
    uid = header.identity.series_instance_uid
    query = select(Series).where(Series.study_id == study.id, Series.series_instance_uid == uid)
    series = session.scalars(query).one_or_none()
    if series is None:
        series = Series(
            study=study,
            series_instance_uid=uid,
            modality=header.modality,
            description=header.series_description,
            first_instance_at=now,
            last_instance_at=now,
        )
        session.add(series)
        session.flush()
    return series


def _place(arrival: Arrival) -> str:
    """Name the object's place in the store by hashes; no name comes from the network."""
    identity = arrival.header.identity
    study, series, instance = (
        hashlib.sha256(uid.encode()).hexdigest()[:32]
        for uid in (
            identity.study_instance_uid, identity.series_instance_uid, identity.sop_instance_uid,
        )
    )  # fmt: skip
    name = f"{instance}-{arrival.sha256[:16]}{OBJECT_SUFFIX}"
    return f"{STORE}/{study[:2]}/{study}/{series}/{name}"


def _dataset_sha256(path: Path) -> str:
    """Hash the dataset alone: the file meta names who sent it, which is not content."""
    with path.open("rb") as file:
        file.seek(META_LENGTH_OFFSET)
        file.seek(int.from_bytes(file.read(4), "little"), os.SEEK_CUR)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
