"""Whose images a study holds: a second identity under it is completed, corrected, or a mix-up.

The study's own columns are what is known of its patient. Another identity that came under it is put
on record with the first; objects of somebody else are kept and never analysed as one with them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from receiver.catalogue.arrivals import Arrival
from receiver.catalogue.reopening import reopen
from receiver.catalogue.resent import is_resent
from receiver.instance.columns import header_from
from receiver.instance.header import Header
from receiver.instance.person import Person, Verdict, compare, differences
from receiver.protocol.identity import Identity
from schema.identity import IdentityChange
from schema.states import ENDED, SeriesState
from schema.tables import IdentityEvent, Instance, Series, Study

log = structlog.get_logger()


def note_identities(
    session: Session, study: Study, arrivals: Sequence[Arrival], storage: Path, now: datetime
) -> None:
    """Compare the patient of each object that came with the study's, and put on record what is new.

    Nothing but a comparison of values where all of them are the same, as they nearly always are.
    """
    by_person: dict[Person, list[Arrival]] = {}
    for arrival in arrivals:
        by_person.setdefault(Person.of(arrival.stored.header), []).append(arrival)
    if by_person.keys() == {Person.of(study)} and study.identity_alert is None:
        _take_order(study, arrivals)
        return
    record = Record(session, study, now)
    for person, theirs in by_person.items():
        record.take(person, theirs, arrivals, storage)
    record.close_mix_ups()


class Record:
    """What is on record of the identities under one study."""

    def __init__(self, session: Session, study: Study, now: datetime) -> None:
        self._session = session
        self._study = study
        self._now = now
        self._events = read_events(session, study)

    def take(
        self, person: Person, theirs: Sequence[Arrival], arrivals: Sequence[Arrival], storage: Path
    ) -> None:
        """Take in one identity with the objects that bear it."""
        known = Person.of(self._study)
        verdict = compare(known, person)
        if verdict is Verdict.SAME:
            self._fill_in(known, person)
            _take_order(self._study, theirs)
            return
        own = [each for each in theirs if self._was_ours(each, known)]
        resent = is_resent(own, storage)
        if is_on_record(person, self._events) and not resent:
            return
        if resent and verdict is Verdict.OTHER:
            verdict = Verdict.CORRECTED
        elif not resent and verdict is Verdict.CORRECTED and known.number != person.number:
            verdict = Verdict.OTHER if _is_mixed(theirs, arrivals, self._now) else verdict
        self._note(known, person, IdentityChange(CHANGES[verdict]), theirs)

    def _was_ours(self, arrival: Arrival, known: Person) -> bool:
        """Say whether the object came before, as one of the study's patient."""
        said = arrival.earlier_header
        return said is not None and accepted(Person.of(said), known, self._events)

    def close_mix_ups(self) -> None:
        """Close mix-ups that are none any more, and say of the study what is still wrong."""
        mix_ups = [event for event in self._events if is_open(event)]
        if mix_ups:
            here = _people_here(self._session, self._study)
            known = Person.of(self._study)
            for event in mix_ups:
                person = Person(**event.later)
                if person not in here or accepted(person, known, self._events):
                    event.resolved_at = self._now
        differs = [event.differs for event in self._events if is_open(event)]
        self._study.identity_alert = _alert(differs)

    def _fill_in(self, known: Person, person: Person) -> None:
        """Add what the study's columns lack; what is there stays as it was written first."""
        given = {name: value or asdict(person)[name] for name, value in asdict(known).items()}
        self._set(Person(**given))

    def _note(
        self, known: Person, person: Person, change: IdentityChange, theirs: Sequence[Arrival]
    ) -> None:
        if any(event.kind == change and is_open(event) and Person(**event.later) == person
               for event in self._events):  # fmt: skip
            return
        event = IdentityEvent(
            study_id=self._study.id,
            series_instance_uid=theirs[0].series.series_instance_uid,
            kind=change,
            differs=differences(known, person),
            earlier=known.said(),
            later=person.said(),
            noted_at=self._now,
        )
        self._session.add(event)
        self._events.append(event)
        _report(self._study, event)
        better = change is IdentityChange.COMPLETED and _is_better(person, known)
        if better or change is IdentityChange.CORRECTED:
            self._set(person)
            if change is IdentityChange.CORRECTED and known.number != person.number:
                self._study.accession_number = ""  # perhaps somebody else's order
            _take_order(self._study, theirs, anew=True)
            _open_again(self._study)

    def _set(self, person: Person) -> None:
        study = self._study
        study.patient_id, study.issuer_of_patient_id = person.patient_id, person.issuer
        study.patient_name = person.name
        study.patient_birth_date, study.patient_sex = person.birth_date, person.sex


def _take_order(study: Study, theirs: Sequence[Arrival], *, anew: bool = False) -> None:
    """Take the Accession Number of a study's images where it has none, or theirs was put right.

    Images of another order beside them change nothing: one study may answer two.
    """
    for arrival in theirs:
        said, earlier = arrival.stored.header.accession_number, arrival.earlier_header
        is_right = earlier is not None and earlier.accession_number == study.accession_number
        if said and (anew or is_right or not study.accession_number):
            study.accession_number = said
            return


CHANGES: Final = {
    Verdict.COMPLETED: IdentityChange.COMPLETED,
    Verdict.CORRECTED: IdentityChange.CORRECTED,
    Verdict.OTHER: IdentityChange.MISMATCH,
}


def read_events(session: Session, study: Study) -> list[IdentityEvent]:
    """Read what is on record of a study's identities, the oldest first."""
    query = select(IdentityEvent).where(IdentityEvent.study_id == study.id)
    return list(session.scalars(query.order_by(IdentityEvent.id)))


def is_open(event: IdentityEvent) -> bool:
    """Say whether an event is a mix-up that still is one."""
    return event.kind == IdentityChange.MISMATCH and event.resolved_at is None


def accepted(person: Person, known: Person, events: Iterable[IdentityEvent]) -> bool:
    """Say whether an identity is that of the study's patient, as known or as on record."""
    certain = (Verdict.SAME, Verdict.COMPLETED)
    return compare(known, person) in certain or is_on_record(person, events)


def is_on_record(person: Person, events: Iterable[IdentityEvent]) -> bool:
    """Say whether an identity was completed or corrected before, in whatever way it is written."""
    people = [
        Person(**said)
        for event in events
        if event.kind != IdentityChange.MISMATCH
        for said in (event.earlier, event.later)
    ]
    return any(compare(known, person) is Verdict.SAME for known in people)


def _is_mixed(theirs: Sequence[Arrival], arrivals: Sequence[Arrival], now: datetime) -> bool:
    """Say whether somebody's objects lie among another's in one series, not in their place."""
    own = {id(each) for each in theirs}
    for each in theirs:
        others = any(
            id(arrival) not in own and arrival.series is each.series for arrival in arrivals
        )
        is_new = each.series.first_instance_at == now
        if each.earlier is None and (others or not is_new):
            return True
    return False


def _is_better(person: Person, known: Person) -> bool:
    """Say whether an identity says more than the other: not a placeholder, with a number."""

    def rank(person: Person) -> tuple[bool, bool]:
        return not person.is_provisional, bool(person.number)

    return rank(person) >= rank(known)


def _people_here(session: Session, study: Study) -> set[Person]:
    """Read the patients of the newest version of each object of a study."""
    query = select(Instance).join(Series).where(Series.study_id == study.id)
    newest: dict[tuple[int, str], Instance] = {}
    for instance in session.scalars(query.options(undefer(Instance.header)).order_by(
        Instance.stored_at, Instance.version
    )):  # fmt: skip
        newest[instance.series_id, instance.sop_instance_uid] = instance
    return {Person.of(_said(instance)) for instance in newest.values()}


def _said(instance: Instance) -> Header:
    uid = instance.sop_instance_uid
    identity = Identity(instance.sop_class_uid, uid, uid, uid)  # only the patient is asked for
    return header_from(identity, instance.transfer_syntax_uid, instance.header)


def _open_again(study: Study) -> None:
    """Decide again on what was read or refused under the identity before: a new revision."""
    for series in study.series:
        done = [job for job in series.jobs if job.revision == series.revision]
        read = any(job.state in ENDED for job in done)
        if series.state == SeriesState.REJECTED or (series.state == SeriesState.SELECTED and read):
            reopen(series)


def _alert(differs: Sequence[str]) -> str | None:
    if not differs:
        return None
    return (
        f"objects of another patient came under this study ({differs[0]} differs); they are kept"
        " and not analysed with it: have the sender correct and send them again"
    )


def _report(study: Study, event: IdentityEvent) -> None:
    """Say loudly what happened, and not to whom."""
    level = log.error if event.kind == IdentityChange.MISMATCH else log.warning
    level(
        MESSAGES[IdentityChange(event.kind)],
        study=study.study_instance_uid,
        series=event.series_instance_uid,
        differs=event.differs,
    )


MESSAGES: Final = {
    IdentityChange.COMPLETED: "patient identity completed",
    IdentityChange.CORRECTED: "patient identity corrected",
    IdentityChange.MISMATCH: "two patients under one study, kept and not analysed as one",
}
