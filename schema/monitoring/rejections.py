"""Associations that were rejected, by hour, reason and calling AE title; kept a week."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from schema.database import SQLITE, read_clock
from schema.tables import Rejection

KEPT: Final = timedelta(days=7)
MOST_AN_HOUR: Final = 200  # reasons and titles; a scan of the port must not fill the table
OTHERS: Final = "(others)"
RECENT: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Refused:
    """Who was rejected, and why."""

    reason: str
    calling_ae: str


def add_rejections(session: Session, counts: Mapping[Refused, int]) -> None:
    """Add what was counted since the last time to the rows of this hour."""
    now = read_clock(session)
    hour = now.replace(minute=0, second=0, microsecond=0)
    session.execute(delete(Rejection).where(Rejection.hour < now - KEPT))
    known = _known(session, hour)
    for refused, count in counts.items():
        if refused not in known and len(known) >= MOST_AN_HOUR:
            refused = Refused(refused.reason, OTHERS)
        known.add(refused)
        _add(session, hour, refused, count)


def read_rejections(session: Session, since: datetime, most: int) -> Sequence[tuple[Refused, int]]:
    """Sum up by reason and title what was rejected in the hours that reach beyond `since`."""
    total = func.sum(Rejection.count)
    counted = (
        select(Rejection.reason, Rejection.calling_ae, total)
        .where(Rejection.hour > since - RECENT)
        .group_by(Rejection.reason, Rejection.calling_ae)
        .order_by(total.desc(), Rejection.reason, Rejection.calling_ae)
        .limit(most)
    )
    return [(Refused(reason, ae), int(count)) for reason, ae, count in session.execute(counted)]


def _known(session: Session, hour: datetime) -> set[Refused]:
    rows = session.execute(
        select(Rejection.reason, Rejection.calling_ae).where(Rejection.hour == hour)
    )
    return {Refused(*row) for row in rows}


def _add(session: Session, hour: datetime, refused: Refused, count: int) -> None:
    """Add to a row, or make it; several receivers may do so at once."""
    insert = sqlite.insert if session.get_bind().dialect.name == SQLITE else postgresql.insert
    row = insert(Rejection).values(
        hour=hour, reason=refused.reason, calling_ae=refused.calling_ae, count=count
    )
    session.execute(
        row.on_conflict_do_update(
            index_elements=["hour", "reason", "calling_ae"],
            set_={"count": Rejection.count + row.excluded.count},
        )
    )
