"""How long a page of the list takes, by the number of studies behind it.

`python -m tests.benchmarks.worklist [--studies 50,200000] [--database URL]`
"""

import argparse
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schema.database import Database, open_database, upgrade
from schema.settings import Settings
from schema.states import Outcome
from tests.benchmarks.filled import fill
from worklist.queries import read_worklist
from worklist.window import View, Window

TIMES = 9
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


if __name__ == "__main__":
    main()
