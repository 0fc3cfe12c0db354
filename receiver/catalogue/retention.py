"""Retention: received files of studies that were analysed go after a while; nothing else ever does.

Off unless TRIAGE_RETENTION_DAYS is set. The rows of the files go with them; studies, series,
findings and result objects stay.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.deciding_job import refused_heads
from schema.settings import Settings
from schema.states import ANALYSED, JobState, Outcome, SeriesState, StudyState
from schema.storage import Storage
from schema.tables import FILES_KEPT, Instance, Study

log = structlog.get_logger()

SPENT: Final = (JobState.DONE, JobState.SUPERSEDED)
STUDIES_A_SWEEP: Final = 20  # a sweep is short, so that it holds up no other step


def is_over(
    state: StudyState, outcome: Outcome | None, finished_at: datetime | None, before: datetime
) -> bool:
    """Say whether a study was analysed, and long enough ago.

    NOT_ANALYSED and FAILED are no analysis: somebody may want to try again.
    """
    if state != StudyState.DONE or outcome not in ANALYSED or finished_at is None:
        return False
    return finished_at < before


def is_spent(state: SeriesState, jobs: Sequence[JobState]) -> bool:
    """Say whether nothing more is to be read of a series of a study that is over."""
    return state != SeriesState.RECEIVING and all(job in SPENT for job in jobs)


class Retention:
    """Removes what is over, a few studies at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._storage = Storage.at(settings.storage)
        self._after: datetime | None = None  # studies with files elsewhere hold up no others
        days = settings.retention_days
        self._keep_for = None if days is None else timedelta(days=days)

    def sweep(self) -> int:
        """Remove the files of what is over; return how many."""
        if self._keep_for is None:
            return 0
        with self._database.reading() as session:
            before = read_clock(session) - self._keep_for
            studies = candidates(session, before, self._after)
        self._after = studies[-1][1] if len(studies) == STUDIES_A_SWEEP else None
        return sum(self._remove(study_id, before) for study_id, _ in studies)

    def _remove(self, study_id: int, before: datetime) -> int:
        with self._database.transaction() as session:
            # Locked: a late instance opens the study again, but not while its files go.
            study = session.get_one(Study, study_id, with_for_update=True)
            is_mixed_up = study.identity_alert is not None  # it says that they are kept
            if is_mixed_up or not is_over(study.state, study.outcome, study.finished_at, before):
                return 0
            every = _spent_instances(study)
            spent = [instance for instance in every if self._storage.holds(instance.storage)]
            for instance in spent:
                (self._storage.path / instance.path).unlink(missing_ok=True)
                instance.series.removed_instances += 1
                session.delete(instance)
            if len(spent) == len(every):  # else the receivers of another storage go on
                _note_sweep(session, study)
        if spent:
            log.info(
                "files removed, TRIAGE_RETENTION_DAYS is over",
                study=study.study_instance_uid,
                files=len(spent),
                size_bytes=sum(instance.size_bytes for instance in spent),
            )
        return len(spent)


def candidates(
    session: Session, before: datetime, after: datetime | None = None
) -> Sequence[tuple[int, datetime]]:
    """List studies whose files nobody has gone through, and when each was over; oldest first."""
    kept = select(Study.id, Study.finished_at).where(
        text(FILES_KEPT), Study.finished_at < before, Study.identity_alert.is_(None)
    )
    if after is not None:
        kept = kept.where(Study.finished_at > after)
    rows = session.execute(kept.order_by(Study.finished_at).limit(STUDIES_A_SWEEP))
    return [(study_id, finished_at) for study_id, finished_at in rows if finished_at is not None]


def _note_sweep(session: Session, study: Study) -> None:
    """Leave the study out of the next sweeps; to the list nothing changed."""
    done = update(Study).where(Study.id == study.id)
    session.execute(done.values(swept_at=read_clock(session), changed_at=Study.changed_at))


def _spent_instances(study: Study) -> list[Instance]:
    unread = refused_heads(study.series)
    return [
        instance
        for series in study.series
        if series not in unread and is_spent(series.state, [job.state for job in series.jobs])
        for instance in series.instances
    ]
