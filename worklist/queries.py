"""What the list asks: a fixed number of queries for any number of studies."""

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.sql.base import ExecutableOption

from schema.database import Database, read_clock
from schema.deciding_job import shown_job
from schema.errors import PermanentError
from schema.monitoring.open_studies import OPEN, find_late
from schema.monitoring.signs import Part, find_missing
from schema.states import Outcome
from schema.tables import (
    Job,
    ResultObject,
    Series,
    Study,
)
from worklist.entries import Worklist
from worklist.listing import CRITICAL, count_unread, newest_critical, place_of, select_ids
from worklist.rows import make_entry
from worklist.window import Window
from worklist.wording import STILL_STANDS

PLAIN = Window(limit=1000)
MOST_NAMED = 20
MOST_STATIONS = 30
FILLING = (Part.RECEIVER, Part.TRIAGE)  # without which an empty list says nothing


class AmbiguousStudyError(PermanentError):
    """Several studies bear the accession number that was asked for."""


def read_worklist(database: Database, storage: Path, window: Window = PLAIN) -> Worklist:
    """Read a window of the list: unread first, the most urgent of them, the newest within a level.

    Raises
    ------
    DatabaseUnavailableError
        If the database does not answer.
    """
    with database.reading() as session:
        now, late = read_clock(session), find_late(session, window.late.total_seconds())
        again = _analysed_again(session, window.outcome) if window.outcome else []
        ids = list(session.scalars(select_ids(window, now, again)))
        shown = ids[: window.limit]
        loaded = session.scalars(
            sa.select(Study).where(Study.id.in_(shown)).options(*with_results())
        )
        studies = sorted(loaded, key=lambda study: shown.index(study.id))
        return Worklist(
            read_at=now,
            entries=tuple(make_entry(study, now, storage, late) for study in studies),
            after=place_of(studies[-1]) if len(ids) > window.limit else None,
            unread_critical=count_unread(session, CRITICAL),
            unread=count_unread(session),
            newest_critical_at=newest_critical(session),
            late=len(late),
            late_after=window.late,
            missing=find_missing(session, FILLING),
        )


def _analysed_again(session: Session, outcome: Outcome) -> list[int]:
    """Find the studies that are shown with an outcome of earlier images; open ones are few."""
    if outcome not in STILL_STANDS:
        return []
    had = Study.series.any(Series.jobs.any(Job.outcome == outcome))
    some = sa.select(Study).where(Study.state.in_(OPEN), had)
    loaded = session.scalars(some.options(selectinload(Study.series).selectinload(Series.jobs)))
    decided = ((study.id, shown_job(study.series)) for study in loaded)
    return [number for number, job in decided if job is not None and job.outcome is outcome]


def find_study(session: Session, name: str, *options: ExecutableOption) -> Study | None:
    """Find a study by its UID, else by its accession number; never guess between two.

    Raises
    ------
    AmbiguousStudyError
        If several studies have this accession number.
    """
    by_uid = sa.select(Study).where(Study.study_instance_uid == name).options(*options)
    if (study := session.scalars(by_uid).one_or_none()) is not None or not name.strip():
        return study
    by_accession = sa.select(Study).where(Study.accession_number == name).options(*options)
    found = session.scalars(by_accession.order_by(Study.id).limit(MOST_NAMED)).all()
    if len(found) > 1:
        uids = ", ".join(study.study_instance_uid for study in found)
        raise AmbiguousStudyError(f"accession number {name} belongs to {uids}; name one of them")
    return found[0] if found else None


def read_stations(database: Database) -> list[str]:
    """List the stations that sent something, each found by a step in the index."""
    found: list[str] = []
    with database.reading() as session:
        while len(found) < MOST_STATIONS:
            last = found[-1] if found else ""
            following = sa.select(sa.func.min(Study.station_name)).where(Study.station_name > last)
            name = session.scalar(following)
            if name is None:
                break
            found.append(name)
    return found


def check_database(database: Database) -> None:
    """Ask the database for one row.

    Raises
    ------
    DatabaseUnavailableError
        If it does not answer.
    """
    with database.reading() as session:
        session.execute(sa.select(Study.id).limit(1))


def with_results() -> tuple[ExecutableOption, ...]:
    """Load a study's jobs, findings and objects with it."""
    jobs = selectinload(Study.series).selectinload(Series.jobs)
    return (
        jobs.selectinload(Job.findings),
        jobs.selectinload(Job.key_picture),
        jobs.selectinload(Job.objects).selectinload(ResultObject.deliveries),
        selectinload(Study.objects).selectinload(ResultObject.deliveries),
    )
