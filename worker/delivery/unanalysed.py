"""Objects of studies that were not analysed: written from the database, whatever went wrong.

A worker that died or that refused a series writes nothing, and a study without an eligible series
never reaches one; so it is here that each of them gets a report and a page that say so.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.errors import DatabaseUnavailableError, TriageError, describe
from schema.tables import Instance, Job, ResultObject, Series, Study
from worker.delivery.destinations import Destinations
from worker.delivery.outbox import enqueue_study
from worker.delivery.unstated import AGAIN, is_unstated, note, unstated
from worker.durable import RESULTS
from worker.header import MALFORMED, completed, uid
from worker.objects.author import Source
from worker.objects.newest_report import newest_reports
from worker.objects.pages import summary_uid
from worker.objects.revision import Revision
from worker.objects.statement import Statement
from worker.objects.writing import Written, write_unanalysed
from worker.pixels import READABLE
from worker.unvalidated import unvalidated

log = structlog.get_logger()

MOST_FILES: Final = 20  # that are tried
NEEDED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")


class Unanalysed:
    """States what was not analysed."""

    def __init__(self, database: Database, storage: Path, places: Destinations) -> None:
        self._database = database
        self._storage = storage
        self._places = places

    def state_due(self) -> int:
        """Write what is missing; return for how many studies."""
        with self._database.reading() as session:
            due = unstated(session, read_clock(session))
        return sum(self._try(study_id, revision) for study_id, revision in due)

    def _try(self, study_id: int, revision: int) -> bool:
        try:
            return self._state(study_id, revision)
        except DatabaseUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: one holds up no other
            self._postpone(study_id, describe(error))
            return False

    def _state(self, study_id: int, revision: int) -> bool:
        with self._database.reading() as session:
            study = session.get_one(Study, study_id)
            ended_at, statement = study.finished_at, _statement(study)
            paths = [self._storage / path for path in _paths(session, study)]
            reports = newest_reports(study.objects, self._storage)  # the statement before
            ours = Revision(revision, bool(study.objects), reports)
            newest = _newest_object(session, study_id)
        header = first_header(paths)
        if header is None or statement is None:
            self._postpone(study_id, "no file of it can be read")
            return False
        same = and_(Study.revision == revision, Study.finished_at == ended_at)
        source, numbers = Source((header,)), range(1, revision + 1)
        if any(newest == summary_uid(source, statement, number) for number in numbers):
            return self._let_stand(study_id, revision, same)
        written = write_unanalysed([header], statement, self._storage / RESULTS, ours)
        return self._record(study_id, revision, same, written)

    def _postpone(self, study_id: int, why: str) -> None:
        """Have it tried again later; a message needs no file, so what is owed one hears now."""
        with self._database.transaction() as session:
            later = read_clock(session) + AGAIN
            note(session, update(Study), study_id, statement_due_at=later)
            study = session.get_one(Study, study_id).study_instance_uid
        log.error("not stated as not analysed", study=study, reason=why)
        with self._database.transaction() as session:
            still = select(Study).where(is_unstated(), Study.id == study_id).with_for_update()
            for unanalysed in session.scalars(still):
                enqueue_study(session, unanalysed, (), self._places)

    def _let_stand(self, study_id: int, revision: int, same: ColumnElement[bool]) -> bool:
        """Have the statement before stand for this revision too: it says the same."""
        with self._database.transaction() as session:
            still = update(Study).where(is_unstated(), same)
            if note(session, still, study_id, stated_revision=revision):
                stated = update(ResultObject).where(
                    ResultObject.study_id == study_id, ResultObject.study_revision.is_not(None)
                )
                session.execute(stated.values(study_revision=revision))
        return False

    def _record(
        self, study_id: int, revision: int, same: ColumnElement[bool], written: Written
    ) -> bool:
        if not written.objects:
            self._postpone(study_id, "; ".join(written.refused))
            return False
        with self._database.transaction() as session:
            # It may have been analysed, or stated by another host, in the meantime.
            still = update(Study).where(is_unstated(), same)
            if not note(session, still, study_id, stated_revision=revision):
                return False
            objects = [
                ResultObject(
                    study_id=study_id,
                    study_revision=revision,
                    kind=result.kind,
                    sop_instance_uid=result.sop_instance_uid,
                    path=str(result.path.relative_to(self._storage)),
                    sha256=result.sha256,
                    audience=result.audience,
                )
                for result in written.objects
            ]
            _retire(session, study_id)
            session.add_all(objects)
            study = session.get_one(Study, study_id)
            enqueue_study(session, study, objects, self._places)
        log.info("stated as not analysed", study=study.study_instance_uid)
        return True


def _statement(study: Study) -> Statement | None:
    if study.outcome is None:
        return None
    return Statement(study.outcome, study.priority, study.reason or "no reason was noted")


def _newest_object(session: Session, study_id: int) -> str | None:
    """Give the UID of what was written last of a study: the page, where that is a statement."""
    query = (
        select(ResultObject.sop_instance_uid)
        .outerjoin(Job, ResultObject.job_id == Job.id)
        .outerjoin(Series, Job.series_id == Series.id)
        .where(or_(ResultObject.study_id == study_id, Series.study_id == study_id))
    )
    return session.scalar(query.order_by(ResultObject.id.desc()).limit(1))


def _retire(session: Session, study_id: int) -> None:
    """Let the page show no earlier statement; its objects stay, for archives have them."""
    earlier = update(ResultObject).where(ResultObject.study_id == study_id)
    session.execute(earlier.values(study_revision=None))


def _paths(session: Session, study: Study) -> Sequence[str]:
    """Give files of a study that are still here, CT first."""
    query = (
        select(Instance.path)
        .join(Series)
        .where(Series.study_id == study.id)
        .order_by(Series.modality != "CT", Series.score.desc(), Instance.id)
        .limit(MOST_FILES)
    )
    return session.scalars(query).all()


def first_header(paths: Sequence[Path]) -> Dataset | None:
    """Read the header of the first file that has one; a deflated one is never inflated."""
    for path in paths:
        try:
            with unvalidated():
                if UID(read_file_meta_info(path).TransferSyntaxUID) not in READABLE:
                    continue
                header = dcmread(path, stop_before_pixels=True)
                for keyword in NEEDED:
                    uid(header, keyword)
                return completed(header)
        except (*MALFORMED, TriageError) as error:
            log.warning("header unreadable", file=path.name, reason=type(error).__name__)
    return None
