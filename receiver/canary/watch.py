"""Send a canary when one is due, say what became of it, and remove it after a day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from pydicom.dataset import Dataset
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from receiver.canary.known import KnownResult, Result, describe, is_known, load_known
from receiver.canary.objects import NAME, PATIENT_ID, make_objects, new_uid
from receiver.canary.removal import remove_files, remove_forgotten, remove_rows, study_files
from receiver.canary.sending import digest_of, send
from receiver.catalogue.canary_marks import Mark, write_mark
from schema.database import Database, read_clock
from schema.errors import TriageError
from schema.settings import Settings
from schema.states import UNANALYSED, StudyState
from schema.studies import lock_study
from schema.tables import Canary, Job, Study

log = structlog.get_logger()

STAYS: Final = timedelta(days=1)  # what we sent, and what came of it
REMEMBERED: Final = timedelta(days=30)  # how it went
NEVER_ENDED: Final = "no result within a day"


class CanaryWatch:
    """One canary after the other; while one waits for its result, no second one is sent.

    Only sending depends on the setting: what was sent is concluded and removed without it, too.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._known = load_known()

    def look(self) -> None:
        """Say what became of the last one, and send the next when it is due."""
        self.conclude()
        if self._is_due():
            self.send()

    def send(self) -> int:
        """Send one now; return its number."""
        now = self._database.now()
        uid = new_uid()
        objects = list(make_objects(uid, now))
        canary_id = self._announce(uid, objects, now)
        try:
            send(self._settings, objects)
        except TriageError as error:
            log.error("canary not sent", reason=str(error))
            self._end_unsent(canary_id, str(error))
        return canary_id

    def conclude(self) -> int:
        """Say of each that has a result what it was; return of how many."""
        with self._database.transaction() as session:
            waiting = select(Canary, Study).join(Study, Study.id == Canary.study_id)
            ended = session.execute(
                waiting.where(Canary.ended_at.is_(None), Study.state == StudyState.DONE)
            ).all()
            for canary, study in ended:
                _conclude(session, canary, study, self._known)
        return len(ended)

    def remove_old(self) -> int:
        """Remove the studies of yesterday's, with their files; return how many.

        One whose files lie on another storage is left to a receiver that sees them.
        """
        self._forget()
        with self._database.reading() as session:
            before = read_clock(session) - STAYS
            old = session.scalars(
                select(Canary.id).where(Canary.study_id.is_not(None), Canary.sent_at < before)
            ).all()
            forgotten = remove_forgotten(session, self._settings.storage, before)
        return sum(self._remove(canary_id) for canary_id in old) + forgotten

    def _announce(self, uid: str, objects: Sequence[Dataset], now: datetime) -> int:
        """Write the study and that it is a canary, before anybody could know its UID.

        In the storage first, which has it still when the tables come back from a backup.
        """
        digests = [digest_of(ds) for ds in objects]
        write_mark(self._settings.storage, Mark(uid, frozenset(digests), now))
        with self._database.transaction() as session:
            study = Study(
                study_instance_uid=uid,
                patient_id=PATIENT_ID,
                patient_name=NAME,
                patient_sex="O",
                accession_number="",
                study_date=str(objects[0].StudyDate),
                study_time=str(objects[0].StudyTime),
                study_description=str(objects[0].StudyDescription),
                received_at=now,
            )
            session.add(study)
            session.flush()
            canary = Canary(study_id=study.id, digests=digests, sent_at=now)
            session.add(canary)
            session.flush()
            return canary.id

    def _is_due(self) -> bool:
        if self._settings.canary_minutes is None:
            return False
        pause = timedelta(minutes=self._settings.canary_minutes)
        with self._database.reading() as session:
            newest = session.scalar(select(Canary).order_by(Canary.sent_at.desc()).limit(1))
            if newest is None:
                return True
            waits = newest.ended_at is None
            return not waits and read_clock(session) - newest.sent_at >= pause

    def _end_unsent(self, canary_id: int, reason: str) -> None:
        with self._database.transaction() as session:
            canary = session.get_one(Canary, canary_id)
            canary.ended_at, canary.is_known, canary.detail = read_clock(session), False, reason

    def _remove(self, canary_id: int) -> bool:
        with self._database.transaction() as session:
            canary = session.get_one(Canary, canary_id)
            if canary.study_id is None:  # another receiver was faster, or it is an ordinary study
                return False
            study = lock_study(session, canary.study_id)
            files = study_files(study)
            if files and not any((self._settings.storage / path).exists() for path in files):
                return False
            if canary.ended_at is None:
                canary.ended_at, canary.detail = read_clock(session), NEVER_ENDED
                canary.is_known = False
            # Files first: one that were left without its row would be catalogued again.
            remove_files(self._settings.storage, files)
            canary.study_id = None
            session.flush()
            remove_rows(session, study.id)
            return True

    def _forget(self) -> None:
        """Delete how those went that were sent a month ago and have no study any more."""
        with self._database.transaction() as session:
            before = read_clock(session) - REMEMBERED
            gone = Canary.study_id.is_(None), Canary.sent_at < before
            session.execute(delete(Canary).where(*gone))


def _conclude(session: Session, canary: Canary, study: Study, known: KnownResult) -> None:
    result = _result(study)
    canary.ended_at = read_clock(session)
    canary.is_known, canary.detail = is_known(result, known), describe(result, known)
    if study.finished_at is not None and study.outcome not in UNANALYSED:
        canary.seconds = (study.finished_at - canary.sent_at).total_seconds()
    say = log.info if canary.is_known else log.error
    say("canary ended", known=canary.is_known, seconds=canary.seconds, result=canary.detail)


def _result(study: Study) -> Result:
    job = max(
        (job for series in study.series for job in series.jobs if job.finished_at),
        key=lambda job: job.id,
        default=None,
    )
    return Result(
        outcome=str(study.outcome),
        priority=study.priority,
        any_ml=_any_ml(job),
        model_sha256=None if job is None else job.model_sha256,
        reason=study.reason,
    )


def _any_ml(job: Job | None) -> float:
    """Give how much blood was found in all."""
    findings = [] if job is None else job.findings
    return next((each.volume_ml for each in findings if each.subtype == "any"), 0.0)
