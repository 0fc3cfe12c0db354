"""The rows of a batch of objects: a few queries for all of it, whatever its size."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import insert, select
from sqlalchemy.orm import Session, selectinload

from receiver.catalogue.reopening import reopen
from receiver.inbox import Sender
from receiver.instance.columns import header_column
from receiver.instance.geometry import axial_slice_position_mm
from receiver.instance.header import Header
from receiver.instance.stored import StoredObject
from schema.states import SeriesState
from schema.studies import update_study
from schema.tables import Association, Instance, Series, Study

log = structlog.get_logger()

SeriesKey = tuple[str, str]  # study and series instance UID
Versions = dict[str, int]  # sha256 of the content: version


def register(
    session: Session, objects: Sequence[StoredObject], senders: Mapping[str, Sender], now: datetime
) -> int:
    """Make the rows that the objects still need; the same content has one row for ever.

    Returns
    -------
    int
        How many instances were new.
    """
    _lock_studies(session, objects)
    series = _series(session, objects, now)
    associations = _associations(session, senders)
    session.flush()  # ids
    rows = _new_instances(objects, series, associations, _known(session, objects), now)
    if rows:
        session.execute(insert(Instance), rows)
    ids = {row["series_id"] for row in rows}
    touched = [series_row for series_row in series.values() if series_row.id in ids]
    for series_row in touched:
        _note_arrival(series_row, now)
    for study in {series_row.study.id: series_row.study for series_row in touched}.values():
        update_study(session, study)
    return len(rows)


def _lock_studies(session: Session, objects: Sequence[StoredObject]) -> None:
    """Lock the studies that are known, in the order of their ids, before anything is read."""
    uids = {stored.header.identity.study_instance_uid for stored in objects}
    known = select(Study.id).where(Study.study_instance_uid.in_(uids)).order_by(Study.id)
    session.execute(known.with_for_update(key_share=True)).all()


def _new_instances(
    objects: Sequence[StoredObject],
    series: Mapping[SeriesKey, Series],
    associations: Mapping[str, Association],
    known: dict[tuple[int, str], Versions],
    now: datetime,
) -> list[dict[str, object]]:
    rows = []
    for stored in objects:
        identity = stored.header.identity
        series_id = series[_key(stored)].id
        versions = known.setdefault((series_id, identity.sop_instance_uid), {})
        if stored.sha256 in versions:
            continue
        version = versions[stored.sha256] = max(versions.values(), default=0) + 1
        if version > 1:
            log.warning(
                "other content under a known UID, kept as another version",
                sop_instance_uid=identity.sop_instance_uid,
                version=version,
            )
        association = associations.get(stored.association or "")
        rows.append(_row(stored, series_id, association, version, now))
    return rows


def _row(
    stored: StoredObject,
    series_id: int,
    association: Association | None,
    version: int,
    now: datetime,
) -> dict[str, object]:
    return {
        "series_id": series_id,
        "association_id": None if association is None else association.id,
        "sop_instance_uid": stored.header.identity.sop_instance_uid,
        "sop_class_uid": stored.header.identity.sop_class_uid,
        "transfer_syntax_uid": stored.header.transfer_syntax_uid,
        "version": version,
        "path": stored.place,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "received_at": now,
        "stored_at": stored.stored_at,
        "slice_position_mm": axial_slice_position_mm(stored.header) or [],
        "header": header_column(stored.header),
    }


def known_paths(session: Session, paths: Collection[str]) -> set[str]:
    """Say which of these files have a row."""
    return set(session.scalars(select(Instance.path).where(Instance.path.in_(paths))))


def _known(session: Session, objects: Sequence[StoredObject]) -> dict[tuple[int, str], Versions]:
    uids = {stored.header.identity.sop_instance_uid for stored in objects}
    query = select(
        Instance.series_id, Instance.sop_instance_uid, Instance.sha256, Instance.version
    ).where(Instance.sop_instance_uid.in_(uids))
    known: dict[tuple[int, str], Versions] = {}
    for series_id, uid, sha256, version in session.execute(query):
        known.setdefault((series_id, uid), {})[sha256] = version
    return known


def _associations(session: Session, senders: Mapping[str, Sender]) -> dict[str, Association]:
    query = select(Association).where(Association.name.in_(senders))
    known = {association.name: association for association in session.scalars(query)}
    for name in senders.keys() - known.keys():
        sender = senders[name]
        known[name] = Association(
            name=name,
            calling_ae=sender.calling_ae,
            peer=sender.peer,
            opened_at=datetime.fromisoformat(sender.opened_at),
        )
        session.add(known[name])
    return known


def _series(
    session: Session, objects: Sequence[StoredObject], now: datetime
) -> dict[SeriesKey, Series]:
    firsts: dict[SeriesKey, StoredObject] = {}
    for stored in objects:
        firsts.setdefault(_key(stored), stored)
    studies = _studies(session, {study_uid for study_uid, _ in firsts})
    query = (
        select(Series)
        .where(
            Series.study_id.in_([study.id for study in studies.values()]),
            Series.series_instance_uid.in_({series_uid for _, series_uid in firsts}),
        )
        .options(selectinload(Series.jobs))
    )
    known = {
        (series.study.study_instance_uid, series.series_instance_uid): series
        for series in session.scalars(query)
    }
    for key in [key for key in firsts if key not in known]:
        header = firsts[key].header
        study = studies.setdefault(key[0], _new_study(key[0], header, now))
        known[key] = _new_series(key[1], study, header, now)
        session.add(known[key])
    return known


def _studies(session: Session, uids: Collection[str]) -> dict[str, Study]:
    query = select(Study).where(Study.study_instance_uid.in_(uids))
    return {study.study_instance_uid: study for study in session.scalars(query)}


def _new_study(uid: str, header: Header, now: datetime) -> Study:
    return Study(
        study_instance_uid=uid,
        patient_id=header.patient_id,
        patient_name=header.patient_name,
        accession_number=header.accession_number,
        patient_birth_date=header.patient_birth_date,
        patient_sex=header.patient_sex,
        study_date=header.study_date,
        study_time=header.study_time,
        station_name=header.station_name,
        study_description=header.study_description,
        received_at=now,
    )


def _new_series(uid: str, study: Study, header: Header, now: datetime) -> Series:
    return Series(
        series_instance_uid=uid,
        study=study,
        modality=header.modality,
        description=header.series_description,
        first_instance_at=now,
        last_instance_at=now,
    )


def _note_arrival(series: Series, now: datetime) -> None:
    """Move the series' clock; what was already decided is opened again as a new revision."""
    series.last_instance_at = now
    if series.state != SeriesState.RECEIVING:
        reopen(series)


def _key(stored: StoredObject) -> SeriesKey:
    return stored.header.identity.study_instance_uid, stored.header.identity.series_instance_uid
