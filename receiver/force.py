"""An operator's word: decide now, without waiting, and look again at what ended unread."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.catalogue.reopening import reopen
from receiver.dispatch.planner import Planner
from receiver.dispatch.second_choice import reopenable
from schema.database import Database
from schema.errors import PermanentError
from schema.states import ACTIVE, Outcome, SeriesState
from schema.studies import lock_study, update_study
from schema.tables import Series, Study

FORCED = "forced by an operator"


class UnknownStudyError(PermanentError):
    """No such study or series was received here."""


@dataclass(frozen=True)
class Forced:
    """What was decided on one series."""

    name: str
    revision: int
    selected: bool
    reason: str

    def __str__(self) -> str:
        verb = "selected for analysis" if self.selected else "rejected"
        return f"series {self.name} {verb} as revision {self.revision} ({self.reason})"


def force(database: Database, planner: Planner, study_uid: str, series_uid: str | None) -> str:
    """Decide on a study's series now, or on one of them; return one line that says what was done.

    A series that still arrives is decided on with what is here. A study that failed or was not
    analysed is opened again. A series that is named is analysed even if a better one was. What is
    analysed or waits for a worker stays as it is.

    Raises
    ------
    UnknownStudyError
        If the study, or the series in it, was never received.
    """
    with database.transaction() as session:
        study = _find(session, study_uid)
        named = [series for series in study.series if series.series_instance_uid == series_uid]
        if series_uid is not None and not named:
            raise UnknownStudyError(f"study {study_uid} has no series {series_uid}")
        chosen = [series for series in named or _undecided(study) if not _waits(series)]
        for series in chosen:
            if series.state != SeriesState.RECEIVING:
                reopen(series)
        update_study(session, study)
        ids = [series.id for series in chosen]
        kept = f"study {study_uid}: nothing to do, {_standing(study, named)}"
    planner.decide_now(ids, FORCED, even_if_second=series_uid is not None)
    return f"study {study_uid}: {_account(database, ids)}" if ids else kept


def failed_since(database: Database, since: datetime, reason: str | None) -> list[str]:
    """List the studies that FAILED since then, the first to fail first.

    Parameters
    ----------
    reason
        Only those whose reason has these words in it, in any case of letters.
    """
    failed = select(Study.study_instance_uid).where(
        Study.outcome == Outcome.FAILED, Study.finished_at >= since
    )
    if reason is not None:
        failed = failed.where(Study.reason.icontains(reason, autoescape=True))
    with database.reading() as session:
        return list(session.scalars(failed.order_by(Study.finished_at, Study.id)))


def _find(session: Session, study_uid: str) -> Study:
    study_id = session.scalar(select(Study.id).where(Study.study_instance_uid == study_uid))
    if study_id is None:
        raise UnknownStudyError(f"no study {study_uid} was received")
    return lock_study(session, study_id)


def _undecided(study: Study) -> list[Series]:
    receiving = [series for series in study.series if series.state == SeriesState.RECEIVING]
    return receiving or list(reopenable(study))


def _waits(series: Series) -> bool:
    """Say whether a worker has or gets the newest revision of a series anyway."""
    return any(job.state in ACTIVE and job.revision == series.revision for job in series.jobs)


def _standing(study: Study, named: list[Series]) -> str:
    if any(_waits(series) for series in named or study.series):
        return "its analysis waits for a worker or runs"
    return f"its outcome {study.outcome} stands"


def _account(database: Database, ids: list[int]) -> str:
    with database.reading() as session:
        forced = [_forced(session.get_one(Series, series_id)) for series_id in ids]
    return "; ".join(map(str, forced))


def _forced(series: Series) -> Forced:
    return Forced(
        name=repr(series.description or series.series_instance_uid),
        revision=series.revision,
        selected=series.state == SeriesState.SELECTED,
        reason=series.reason or "it changed meanwhile and is decided on when it is quiet",
    )
