"""Associations that were rejected, by hour, reason, calling AE title and address; kept a week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from schema.database import SQLITE, read_clock
from schema.tables import Rejection

KEPT: Final = timedelta(days=7)
MOST_AN_HOUR: Final = 200  # callers and their reasons; a scan of the port must not fill the table
OTHERS: Final = "(others)"
RECENT: Final = timedelta(hours=1)
REFUSED: Final = (Rejection.reason, Rejection.calling_ae, Rejection.peer)


@dataclass(frozen=True)
class Refused:
    """Who was rejected, and why."""

    reason: str
    calling_ae: str
    peer: str


def add_rejections(session: Session, counts: Mapping[Refused, int]) -> None:
    """Add what was counted since the last time to the rows of this hour."""
    now = read_clock(session)
    hour = now.replace(minute=0, second=0, microsecond=0)
    session.execute(delete(Rejection).where(Rejection.hour < now - KEPT))
    known = _known(session, hour)
    for refused, count in counts.items():
        named = _bounded(refused, known)
        known.add(named)
        _add(session, hour, named, count)


def read_rejections(session: Session, since: datetime, most: int) -> Sequence[tuple[Refused, int]]:
    """Sum up by reason and caller what was rejected in the hours that reach beyond `since`."""
    total = func.sum(Rejection.count)
    counted = (
        select(*REFUSED, total)
        .where(Rejection.hour > since - RECENT)
        .group_by(*REFUSED)
        .order_by(total.desc(), *REFUSED)
        .limit(most)
    )
    return [(Refused(*refused), int(count)) for *refused, count in session.execute(counted)]


def _known(session: Session, hour: datetime) -> set[Refused]:
    rows = session.execute(select(*REFUSED).where(Rejection.hour == hour))
    return {Refused(*row) for row in rows}


def _bounded(refused: Refused, known: set[Refused]) -> Refused:
    """Give up a caller's title where there are too many, and then its address."""
    untitled = replace(refused, calling_ae=OTHERS)
    for named, most in ((refused, MOST_AN_HOUR), (untitled, 2 * MOST_AN_HOUR)):
        if named in known or len(known) < most:
            return named
    return replace(untitled, peer=OTHERS)


def _add(session: Session, hour: datetime, refused: Refused, count: int) -> None:
    """Add to a row, or make it; several receivers may do so at once."""
    insert = sqlite.insert if session.get_bind().dialect.name == SQLITE else postgresql.insert
    row = insert(Rejection).values(hour=hour, **vars(refused), count=count)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["hour", "reason", "calling_ae", "peer"],
            set_={"count": Rejection.count + row.excluded.count},
        )
    )
