"""The row of each running part: written by the part itself, read by whoever asks who works."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.owners import is_gone, this_process
from schema.states import ProcessState
from schema.tables import Process

SIGN_S: Final = 5.0  # how often a part gives a sign
SILENT: Final = timedelta(seconds=30)
KEPT: Final = timedelta(days=7)
WORKING: Final = (ProcessState.READY.lower(), ProcessState.STARTING.lower())
OVER: Final = (ProcessState.STOPPED, ProcessState.FAILED)
MOST: Final = 1000  # rows that anybody reads, the newest first


class Part(StrEnum):
    """The kinds of program that run for as long as the system does."""

    RECEIVER = "receiver"
    TRIAGE = "triage"
    DELIVER = "deliver"
    WORKLIST = "worklist"


@dataclass(frozen=True)
class Model:
    """The weights that a triage worker has loaded."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Sign:
    """What a part says of itself at one moment.

    Attributes
    ----------
    instance
        Which of its kind on its host it is, by a name that it has after a restart, too.
    """

    part: Part
    state: ProcessState
    reason: str | None = None
    model: Model | None = None
    instance: str = ""


@dataclass(frozen=True)
class Running:
    """A part as its row shows it.

    Attributes
    ----------
    condition
        Its state in small letters, or `silent` where no sign came for a while.
    replaced
        Whether it is over, or silent, and the same instance began again on its host since.
    """

    part: str
    host: str
    process_id: int
    version: str
    started_at: datetime
    alive_at: datetime
    condition: str
    reason: str | None
    model: Model | None
    replaced: bool = field(default=False)


def give_sign(session: Session, sign: Sign) -> None:
    """Write this process's row; the first one takes those of its predecessors away."""
    now, owner = read_clock(session), this_process()
    row = session.scalar(select(Process).where(Process.owner == owner, Process.part == sign.part))
    if row is None:
        host, process_id, *_ = owner.split(":")
        row = Process(owner=owner, part=sign.part, host=host, process_id=int(process_id))
        row.instance = sign.instance
        row.started_at, row.version = now, program_version()
        forget_predecessors(session, row, now)
        session.add(row)
    row.alive_at, row.state, row.reason = now, sign.state, sign.reason
    row.model = sign.model.name if sign.model else None
    row.model_sha256 = sign.model.sha256 if sign.model else None


def forget_predecessors(session: Session, row: Process, now: datetime) -> None:
    """Remove what ended of this instance on this host, but for the newest, and all of a week ago.

    The newest of each other part stays: that there once was one tells that it is missing.
    """
    newest = select(func.max(Process.id)).where(Process.part != row.part).group_by(Process.part)
    old = delete(Process).where(Process.alive_at < now - KEPT, Process.id.not_in(newest))
    session.execute(old)
    same = select(Process).where(Process.part == row.part, Process.host == row.host)
    earlier = session.scalars(same.order_by(Process.alive_at.desc())).all()
    ended = [other for other in earlier if _is_over(other, now) and _is_same(row, other)]
    for other in ended[1:]:
        session.delete(other)


def forget_host(session: Session, host: str) -> int:
    """Remove what is over or silent of a host that was taken away; return how many rows."""
    now = read_clock(session)
    rows = session.scalars(select(Process).where(Process.host == host)).all()
    gone = [row for row in rows if _is_over(row, now)]
    for row in gone:
        session.delete(row)
    return len(gone)


def read_running(session: Session) -> tuple[Running, ...]:
    """Give every part that has a row, by part and host, the newest of a host first."""
    now = read_clock(session)
    newest = select(Process).order_by(Process.id.desc()).limit(MOST)
    rows = sorted(session.scalars(newest), key=lambda row: (row.part, row.host, -row.id))
    return tuple(_running(row, rows, now) for row in rows)


def find_missing(session: Session, parts: Sequence[Part]) -> tuple[Part, ...]:
    """Name those kinds of which nothing is ready, nor on its way to be.

    One that left no sign yet is of a release that gives none, until the first of this one starts.
    """
    running = read_running(session)
    known = {process.part for process in running}
    working = {process.part for process in running if process.condition in WORKING}
    return tuple(part for part in parts if part in known - working)


def _running(row: Process, rows: Sequence[Process], now: datetime) -> Running:
    silent = row.state not in OVER and now - row.alive_at > SILENT
    followed = any(_is_same(row, other) and other.started_at > row.alive_at for other in rows)
    return Running(
        row.part,
        row.host,
        row.process_id,
        row.version,
        row.started_at,
        row.alive_at,
        "silent" if silent else row.state.lower(),
        row.reason,
        Model(row.model, row.model_sha256 or "") if row.model else None,
        replaced=(silent or row.state in OVER) and followed,
    )


def _is_same(row: Process, other: Process) -> bool:
    """Say whether two rows are of one instance; one that does not say may be any of its kind."""
    if (other.part, other.host) != (row.part, row.host):
        return False
    return row.instance == other.instance or not (row.instance and other.instance)


def _is_over(row: Process, now: datetime) -> bool:
    return row.state in OVER or now - row.alive_at > SILENT or is_gone(row.owner)


def program_version() -> str:
    """Give the version of this program, as it was installed."""
    try:
        return version("ihsnet-triage")
    except PackageNotFoundError:  # from a checkout that was never installed
        return "unknown"
