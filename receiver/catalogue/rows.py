"""The rows of a batch of objects: a few queries for all of it, whatever its size."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import structlog
from sqlalchemy import ARRAY, BigInteger, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, selectinload

from receiver.catalogue.arrivals import (
    Arrival,
    Repeat,
    in_order,
    read_arrivals,
    rounds,
)
from receiver.catalogue.canaries import show_what_others_sent
from receiver.catalogue.identity import note_identities
from receiver.catalogue.reopening import reopen
from receiver.inbox import Sender
from receiver.instance.columns import header_column
from receiver.instance.geometry import axial_slice_position_mm
from receiver.instance.header import Header
from receiver.instance.stored import StoredObject
from schema.database import SQLITE, lock_key
from schema.deciding_job import newest_ended
from schema.states import UNANALYSED, SeriesState
from schema.storage import Storage
from schema.studies import update_study
from schema.tables import Association, Instance, Series, Study

log = structlog.get_logger()

SeriesKey = tuple[str, str]  # study and series instance UID


def register(
    session: Session,
    objects: Sequence[StoredObject],
    senders: Mapping[str, Sender],
    storage: Storage,
    now: datetime,
) -> int:
    """Make the rows that the objects still need; the same content has one row for ever.

    Returns
    -------
    int
        How many instances were new.
    """
    _lock_studies(session, objects)
    associations = _associations(session, senders, objects, storage)
    return sum(
        _register(session, each, associations, storage, now)
        for each in rounds(in_order(objects, senders))
    )


def _register(
    session: Session,
    objects: Sequence[StoredObject],
    associations: Mapping[str, Association],
    storage: Storage,
    now: datetime,
) -> int:
    """Make the rows of objects of which each is there once."""
    series = _series(session, objects, now)
    session.flush()  # ids
    arrivals, repeats = read_arrivals(
        session, [(stored, series[_key(stored)]) for stored in objects], storage.path
    )
    rows = [
        _row(each, associations.get(each.stored.association or ""), storage, now)
        for each in arrivals
        if each.row_id is None
    ]
    unended = _unended(session, repeats)
    again = [
        *(_again(each, associations) for each in arrivals if each.row_id is not None),
        *(_again(each, associations if each.series.id in unended else {}) for each in repeats),
    ]
    if rows:
        session.execute(insert(Instance), rows)
    if again:
        session.execute(update(Instance), again)
    _note_place(session, objects, storage)
    _note_arrivals(session, arrivals, storage, now)
    _note_repeats(session, repeats, now)
    return len(rows)


def _note_place(session: Session, objects: Sequence[StoredObject], storage: Storage) -> None:
    """Have what came again lie here: the storage of its row may be the one that was lost."""
    elsewhere = update(Instance).where(
        Instance.path.in_([stored.place for stored in objects]),
        Instance.storage != storage.identity,
    )
    session.execute(elsewhere.values(storage=storage.identity))


def _note_arrivals(
    session: Session, arrivals: Sequence[Arrival], storage: Storage, now: datetime
) -> None:
    """Move the clocks of series that got something, and compare the patients."""
    by_study: dict[int, list[Arrival]] = {}
    for arrival in arrivals:
        _say_what_it_is(arrival)
        by_study.setdefault(arrival.series.study_id, []).append(arrival)
    show_what_others_sent(session, by_study, now)
    for group in by_study.values():
        for series in {id(arrival.series): arrival.series for arrival in group}.values():
            _note_arrival(series, [each for each in group if each.series is series], now)
        study = group[0].series.study
        note_identities(session, study, group, storage.path, now)
        update_study(session, study)


def _note_repeats(session: Session, repeats: Sequence[Repeat], now: datetime) -> None:
    """Wait for the end of what is sent once more; it may also tell that an abort lost nothing."""
    for series in {id(repeat.series): repeat.series for repeat in repeats}.values():
        if not _is_awaited(series):
            continue
        series.last_instance_at = now
        if series.state != SeriesState.RECEIVING:
            reopen(series)
        update_study(session, series.study)


def _is_awaited(series: Series) -> bool:
    return series.state == SeriesState.RECEIVING or series.cut_short


def _unended(session: Session, repeats: Sequence[Repeat]) -> set[int]:
    """Give the series that nobody sent to the end yet: who sends one again may do so.

    Of one that was sent well an aborted repeat tells nothing.
    """
    ids = {repeat.series.id for repeat in repeats}
    awaited = {repeat.series.id for repeat in repeats if _is_awaited(repeat.series)}
    if ids == awaited:
        return ids
    still_open = (
        select(Instance.series_id)
        .join(Association)
        .where(Instance.series_id.in_(ids - awaited), Association.closed_at.is_(None))
    )
    return awaited | set(session.scalars(still_open.distinct()))


def _lock_studies(session: Session, objects: Sequence[StoredObject]) -> None:
    """Lock the studies before anything is read; those that are known, in the order of their ids.

    Two receivers may get the first images of a study at once: its row is not there to be locked.
    """
    uids = {stored.header.identity.study_instance_uid for stored in objects}
    if session.get_bind().dialect.name != SQLITE:  # which has one writer at a time
        keys = sorted(lock_key(f"study {uid}") for uid in uids)
        each = func.unnest(bindparam(None, keys, ARRAY(BigInteger)))
        session.execute(select(func.pg_advisory_xact_lock(each)))
    known = select(Study.id).where(Study.study_instance_uid.in_(uids)).order_by(Study.id)
    session.execute(known.with_for_update(key_share=True)).all()


def _say_what_it_is(arrival: Arrival) -> None:
    identity = arrival.stored.header.identity
    uid, study = identity.sop_instance_uid, identity.study_instance_uid
    if arrival.is_other_encoding:
        log.info("a known object in another encoding, kept", study=study, sop_instance_uid=uid)
    elif arrival.version > 1:
        log.warning(
            "other content under a known UID, kept as another version",
            study=study,
            sop_instance_uid=uid,
            version=arrival.version,
        )


def _row(
    arrival: Arrival, association: Association | None, storage: Storage, now: datetime
) -> dict[str, object]:
    stored = arrival.stored
    recoded = arrival.earlier if arrival.is_other_encoding else None
    return {
        "series_id": arrival.series.id,
        "association_id": None if association is None else association.id,
        "sop_instance_uid": stored.header.identity.sop_instance_uid,
        "sop_class_uid": stored.header.identity.sop_class_uid,
        "transfer_syntax_uid": stored.header.transfer_syntax_uid,
        "dimse_priority": None if association is None else stored.priority,
        "version": arrival.version,
        "path": stored.place,
        "storage": storage.identity,
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "received_at": now,
        "stored_at": stored.stored_at,
        "slice_position_mm": axial_slice_position_mm(stored.header) or [],
        "header": header_column(stored.header),
        "left_out": None if recoded is None else recoded.left_out,
    }


def _again(each: Arrival | Repeat, associations: Mapping[str, Association]) -> dict[str, object]:
    """Give the new columns of a row whose content came again: when, and by which association."""
    association = associations.get(each.stored.association or "")
    columns: dict[str, object] = {"id": each.row_id, "stored_at": each.stored.stored_at}
    return columns if association is None else columns | {"association_id": association.id}


def known_paths(session: Session, paths: Collection[str]) -> set[str]:
    """Say which of these files have a row."""
    return set(session.scalars(select(Instance.path).where(Instance.path.in_(paths))))


def _associations(
    session: Session,
    senders: Mapping[str, Sender],
    objects: Sequence[StoredObject],
    storage: Storage,
) -> dict[str, Association]:
    called = {each.association: each.header.requested.called_ae for each in objects}
    query = select(Association).where(Association.name.in_(senders))
    known = {association.name: association for association in session.scalars(query)}
    for name in senders.keys() - known.keys():
        sender = senders[name]
        known[name] = Association(
            name=name,
            calling_ae=sender.calling_ae,
            called_ae=called.get(name) or None,
            peer=sender.peer,
            opened_at=datetime.fromisoformat(sender.opened_at),
            storage=storage.identity,
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
        issuer_of_patient_id=header.issuer_of_patient_id,
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
        series_number=header.series_number or None,
        requested=header.requested.column(),
        first_instance_at=now,
        last_instance_at=now,
    )


def _note_arrival(series: Series, arrivals: Sequence[Arrival], now: datetime) -> None:
    """Move the series' clock; what was already decided is opened again as a new revision.

    What was read stays read when the same comes in another encoding.
    """
    series.last_instance_at = now
    recoded = all(arrival.is_other_encoding for arrival in arrivals)
    if series.state != SeriesState.RECEIVING and not (recoded and _is_settled(series)):
        reopen(series)


def _is_settled(series: Series) -> bool:
    """Say whether a decided series needs no other encoding: its pixels could be read."""
    job = newest_ended(series)
    return job is None or job.outcome not in UNANALYSED


def _key(stored: StoredObject) -> SeriesKey:
    identity = stored.header.identity
    return identity.study_instance_uid, identity.series_instance_uid
