"""`python -m receiver canary`: one canary now, and what became of it."""

import time
from dataclasses import dataclass
from typing import Final

from receiver.canary.watch import CanaryWatch
from schema.database import Database
from schema.settings import Settings
from schema.tables import Canary

PAUSE_S: Final = 0.5


@dataclass(frozen=True)
class Ended:
    """What became of a canary; `line` is for a person."""

    is_known: bool
    line: str


def send_and_wait(settings: Settings, database: Database, wait_s: float) -> Ended:
    """Send one through the port of a receiver that runs, and wait for its result."""
    watch = CanaryWatch(settings, database)
    canary_id, end = watch.send(), time.monotonic() + wait_s
    while True:
        watch.conclude()
        canary = _read(database, canary_id)
        if canary.ended_at is not None:
            return Ended(bool(canary.is_known), _line(canary))
        if time.monotonic() > end:
            return Ended(False, f"no result within {wait_s:g} s; python -m schema check says more")
        time.sleep(PAUSE_S)


def _read(database: Database, canary_id: int) -> Canary:
    with database.reading() as session:
        return session.get_one(Canary, canary_id)


def _line(canary: Canary) -> str:
    took = "" if canary.seconds is None else f" after {canary.seconds:.1f} s"
    verdict = "the known result" if canary.is_known else "NOT the known result"
    return f"{verdict}{took}: {canary.detail}"
