"""How soon a series that is ready has its message, while 500 others are not ready.

`python -m tests.benchmarks.dispatching [--undecided 500] [--ready 40]`

The receiver's own steps in their lanes, SQLite, the private Redis. The undecided series have an
open association, so each is looked at in every round.
"""

import argparse
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from receiver.inbox import Inbox
from receiver.instance.columns import header_column
from receiver.instance.geometry import axial_slice_position_mm
from receiver.instance.header import read_header
from receiver.periodic.steps import receiver_steps
from receiver.periodic.sweeper import Sweeper
from receiver.roster import Presence
from schema.broker import client, count_waiting, ensure_broker
from schema.database import Database, connect, read_clock, upgrade
from schema.messages import TRIAGE_QUEUE
from schema.settings import Settings
from schema.tables import Association, Instance, Series
from tests.support.phantoms import HEAD_MM, Phantom
from tests.support.rows import add_study

QUIET_S: Final = 1.0
SETTLE_S: Final = 10.0
DEADLINE_S: Final = 120.0


def main() -> None:
    """Print the seconds from ready to message: of one series, then of many at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--undecided", type=int, default=500)
    parser.add_argument("--ready", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            _env_file=None,
            home=Path(folder) / "home",
            series_quiet_s=QUIET_S,
            series_silence_s=500,
        )
        upgrade(settings)
        database = connect(settings)
        Inbox(settings.storage, 0)
        ensure_broker(settings)
        try:
            measure(settings, database, asked.undecided, asked.ready)
        finally:
            with client(settings) as connection:
                connection.shutdown(nosave=True)


def measure(settings: Settings, database: Database, undecided: int, ready: int) -> None:
    """Run the receiver's steps and add what is ready."""
    columns = instance_columns(settings.storage)
    add(database, columns, range(undecided), is_open=True)
    stopped = threading.Event()
    sweeper = Sweeper(receiver_steps(settings, database, Presence(settings.storage)))
    sweeper.start(stopped)
    time.sleep(SETTLE_S)  # into the steady state
    add(database, columns, range(undecided, undecided + 1), is_open=False)
    (only,) = arrivals(settings, 0, 1)
    print(f"{undecided} undecided: message after {only:.2f} s")
    add(database, columns, range(undecided + 1, undecided + 1 + ready), is_open=False)
    many = arrivals(settings, 1, ready)
    print(f"{ready} ready at once: first after {many[0]:.2f} s, last after {many[-1]:.2f} s")
    stopped.set()
    sweeper.join()


def arrivals(settings: Settings, before: int, count: int) -> list[float]:
    """Give when each message was there, in seconds from now."""
    begun, found = time.monotonic(), list[float]()
    while len(found) < count and time.monotonic() - begun < DEADLINE_S:
        new = count_waiting(settings, TRIAGE_QUEUE) - before - len(found)
        found += [time.monotonic() - begun] * new
        time.sleep(0.02)
    return found


def instance_columns(storage: Path) -> list[dict[str, Any]]:
    """Give what the rows of one head's images have in common."""
    headers = [
        read_header(path)
        for path in Phantom(HEAD_MM, spacing_mm=0.5).write(storage / "received" / "head")
    ]
    return [
        {
            "sop_class_uid": header.identity.sop_class_uid,
            "transfer_syntax_uid": header.transfer_syntax_uid,
            "slice_position_mm": axial_slice_position_mm(header) or [],
            "header": header_column(header),
            "size_bytes": 1,
            "sha256": "0" * 64,
        }
        for header in headers
    ]


def add(
    database: Database, columns: list[dict[str, Any]], numbers: range, *, is_open: bool
) -> None:
    """Add a study with one head for each number, quiet for long enough."""
    with database.transaction() as session:
        now = read_clock(session)
        for number in numbers:
            uid, quiet_at = f"1.2.840.{number}", now - timedelta(seconds=QUIET_S)
            association = Association(
                name=uid, calling_ae="CT1", peer="127.0.0.1", opened_at=quiet_at,
                closed_at=None if is_open else quiet_at,
            )  # fmt: skip
            series = Series(
                study=add_study(session, uid), series_instance_uid=f"{uid}.1", modality="CT",
                description="HEAD", first_instance_at=quiet_at, last_instance_at=quiet_at,
            )  # fmt: skip
            session.add(series)
            for index, given in enumerate(columns):
                session.add(
                    Instance(
                        series=series, association=association, received_at=quiet_at,
                        sop_instance_uid=f"{uid}.1.{index}", path=f"received/{uid}/{index}.dcm",
                        **given,
                    )
                )  # fmt: skip


if __name__ == "__main__":
    main()
