"""Rows for tests that begin behind the catalogue."""

from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import update
from sqlalchemy.orm import Session

from schema.database import Database
from schema.monitoring.signs import Part, Sign, give_sign
from schema.states import JobState, Outcome, ProcessState, SeriesState, StudyState
from schema.studies import update_study
from schema.tables import Instance, Job, Process, Series, Study

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
numbers = count(1)


def study_row(**columns: object) -> Study:
    """Make a study's row; whoever wants to see something in it says so."""
    values = {
        "study_instance_uid": "1.2.3",
        "patient_id": "P1",
        "patient_name": "Phantom^Water",
        "accession_number": "A1",
        "study_date": "20260102",
        "study_description": "HEAD",
        "received_at": LONG_AGO,
    }
    return Study(**values | columns)


def series_row(**columns: object) -> Series:
    """Make the row of a series that was selected."""
    values = {
        "series_instance_uid": "1.2.3.1",
        "modality": "CT",
        "description": "HEAD",
        "first_instance_at": LONG_AGO,
        "last_instance_at": LONG_AGO,
        "state": SeriesState.SELECTED,
        "revision": 1,
    }
    return Series(**values | columns)


def add_study(session: Session, uid: str = "1.2.3") -> Study:
    """Add a study without series."""
    study = study_row(study_instance_uid=uid)
    session.add(study)
    session.flush()
    return study


def add_series(
    study: Study, session: Session, score: float | None = 10, **values: object
) -> Series:
    """Add a selected series with one instance."""
    number = next(numbers)
    given = {"series_instance_uid": f"1.2.3.{number}", "description": f"series {number}"}
    series = series_row(study=study, score=score, **(given | values))
    session.add(series)
    session.flush()
    add_instance(series, session)
    return series


def add_instance(series: Series, session: Session, version: int = 1, uid: str = "") -> Instance:
    """Add an instance of a series."""
    number = next(numbers)
    instance = Instance(
        series=series,
        sop_instance_uid=uid or f"1.2.3.4.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        version=version,
        path=f"received/{number}.dcm",
        size_bytes=1,
        sha256=f"{number:064d}",
        received_at=LONG_AGO,
    )
    session.add(instance)
    session.flush()
    return instance


def add_job(series: Series, session: Session, **values: object) -> Job:
    """Add a job for the newest revision of a series; it waits unless told otherwise."""
    job = Job(
        series=series, revision=series.revision, created_at=LONG_AGO, due_at=LONG_AGO, **values
    )
    session.add(job)
    update_study(session, series.study)
    return job


def done(outcome: Outcome, priority: int, **values: object) -> dict[str, object]:
    """Give the columns of a job that ended with this outcome."""
    return {
        "state": JobState.DONE,
        "outcome": outcome,
        "priority": priority,
        "priority_reason": f"rule {priority}",
        "reason": f"because {outcome}",
        "finished_at": LONG_AGO,
        **values,
    }


def show_life(database: Database, *parts: Part) -> None:
    """Let parts of the system work, those that fill the list unless told otherwise."""
    with database.transaction() as session:
        for part in parts or (Part.RECEIVER, Part.TRIAGE):
            give_sign(session, Sign(part, ProcessState.READY))
        session.flush()
        session.execute(update(Process).values(alive_at=datetime.now(UTC) + timedelta(days=1)))


def show_end(database: Database) -> None:
    """Let the parts that fill the list have worked once, and work no more."""
    with database.transaction() as session:
        for part in (Part.RECEIVER, Part.TRIAGE):
            give_sign(session, Sign(part, ProcessState.FAILED))


def add_thousand(database: Database) -> None:
    """Add a thousand unread studies of two weeks, a third of them critical."""
    with database.transaction() as session:
        for number in range(1000):
            study = add_study(session, f"1.9.{number}")
            study.priority, study.state = number % 3, StudyState.DONE
            study.outcome = Outcome.NEGATIVE
            study.received_at = LONG_AGO + timedelta(minutes=20 * number)
