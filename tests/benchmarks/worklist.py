"""How long a page of the list takes, by the number of studies behind it.

`python -m tests.benchmarks.worklist [--studies 50,200000] [--database URL]`
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from schema.database import Database, open_database, upgrade
from schema.hemorrhage_subtypes import ANY, KEYS
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.tables import Base, Finding, Job, Series, Study
from worklist.queries import read_worklist
from worklist.window import View, Window

BATCH = 5000
TIMES = 9
MIX = (
    (Outcome.NEGATIVE, 4), (Outcome.NEGATIVE, 4), (Outcome.NEGATIVE, 4), (Outcome.POSITIVE, 1),
    (Outcome.POSITIVE, 2), (Outcome.INDETERMINATE, 3), (Outcome.NOT_ANALYSED, 0),
)  # fmt: skip
QUESTIONS = {
    "opened": Window(),
    "unread": Window(view=View.UNREAD),
    "all": Window(view=View.ALL),
    "outcome": Window(view=View.ALL, outcome=Outcome.NOT_ANALYSED),
    "rare outcome": Window(view=View.ALL, outcome=Outcome.FAILED),
    "station": Window(view=View.ALL, station="CT7"),
    "since": Window(view=View.ALL, since=datetime.now(UTC) - timedelta(hours=1)),
    "name": Window(view=View.ALL, search="PATIENT^77"),
    "no such name": Window(view=View.ALL, search="nobody"),
}


def main() -> None:
    """Print milliseconds for each question and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", default="50,200000")
    parser.add_argument("--database", help="an empty PostgreSQL database; SQLite without")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(_env_file=None, home=Path(home), database_url=asked.database)
        upgrade(settings)
        database = open_database(settings)
        stored = 0
        for number in map(int, asked.studies.split(",")):
            fill(database, stored, number)
            stored = number
            print(f"{number} studies, median of {TIMES}, ms:")
            for name, window in QUESTIONS.items():
                print(f"  {name:<14}{measure(database, window):8.1f}")


def measure(database: Database, window: Window) -> float:
    """Give the median time in ms."""
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        read_worklist(database, Path("/storage"), window)
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def fill(database: Database, first: int, last: int) -> None:
    """Insert studies over fourteen days, each with a series, a job and six findings."""
    for start in range(first, last, BATCH):
        numbers = range(start + 1, min(start + BATCH, last) + 1)
        with database.transaction() as session:
            for table, rows in (
                (Study, studies(numbers)), (Series, series(numbers)), (Job, jobs(numbers)),
                (Finding, findings(numbers)),
            ):  # fmt: skip
                insert(session, table, rows)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def insert(session: Any, table: type[Base], rows: Iterator[dict[str, Any]]) -> None:
    session.execute(sa.insert(table), list(rows))


def received(number: int) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=random.Random(number).uniform(60, 14 * 86400))


def ended(number: int) -> tuple[Outcome, int]:
    return MIX[number % len(MIX)] if number % 5000 else (Outcome.FAILED, 0)


def studies(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        at = received(number)
        outcome, priority = ended(number)
        seen = at + timedelta(minutes=20) if number % 10 else None
        yield {
            "id": number, "study_instance_uid": f"1.2.{number}", "patient_id": f"P{number:07d}",
            "patient_name": f"PATIENT^{number}", "accession_number": f"A{number:08d}",
            "study_date": "20260301", "study_description": "CT HEAD", "received_at": at,
            "station_name": f"CT{number % 6}", "state": StudyState.DONE, "outcome": outcome,
            "priority": priority, "reason": "measured", "finished_at": at + timedelta(minutes=1),
            "acknowledged_at": seen, "model": "munet",
        }  # fmt: skip


def series(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        at = received(number)
        yield {
            "id": number, "study_id": number, "series_instance_uid": f"1.2.{number}.1",
            "modality": "CT", "description": "HEAD 5 mm", "first_instance_at": at,
            "last_instance_at": at, "state": SeriesState.SELECTED, "score": 1.0,
        }  # fmt: skip


def jobs(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        outcome, priority = ended(number)
        yield {
            "id": number, "series_id": number, "revision": 1, "state": JobState.DONE,
            "created_at": received(number), "due_at": received(number), "outcome": outcome,
            "priority": priority,
        }  # fmt: skip


def findings(numbers: range) -> Iterator[dict[str, Any]]:
    for number in numbers:
        for name in (ANY, *KEYS):
            yield {
                "job_id": number, "subtype": name, "probability": 0.5, "volume_ml": 12.0,
                "present": number % 3 == 0,
            }  # fmt: skip


if __name__ == "__main__":
    main()
