"""The list as SQL: a window of an index, so that 200,000 studies cost what 50 cost.

`study.place` (schema.tables) is highest for the most urgent unread level, 0 for the normal place
and -1 for what was seen; within a place the newest comes first. Every query here reads
`(place, received_at, id)` backwards from a row and stops after so many.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from schema.states import Level
from schema.tables import Job, Series, Study
from worklist.window import Place, View, Window, search_words

SEEN = -1
CRITICAL = 3
NEWEST = 50  # that are looked at for the newest critical one
COUNTED_TO = 1000  # a badge says "999+" rather than count every row
ORDER = (Study.place.desc(), Study.received_at.desc(), Study.id.desc())


def select_ids(window: Window, now: datetime, analysed_again: Sequence[int] = ()) -> sa.Select[int]:
    """Select the studies of a window, in order, and one more that tells whether others follow.

    Parameters
    ----------
    analysed_again
        Studies that have no outcome at the moment and are shown with the one that is asked for.
    """
    wanted = _filters(window)
    match window.view:
        case View.ALL:
            parts = [wanted]
        case View.UNREAD:
            parts = [[*wanted, Study.place > SEEN]]
        case View.CURRENT:
            recent = [Study.place == SEEN, Study.received_at >= now - window.recent]
            parts = [[*wanted, Study.place > SEEN], [*wanted, *recent]]
    if analysed_again:
        others = _filters(replace(window, outcome=None))
        parts.append([*others, Study.outcome.is_(None), Study.id.in_(analysed_again)])
    # One range of the index for each part: a filter over both would walk all that was ever seen.
    ranges = [
        sa.select(Study.id, Study.place, Study.received_at)
        .where(*part)
        .order_by(*ORDER)
        .limit(window.limit + 1)
        .subquery()
        for part in parts
    ]
    rows = sa.union_all(*(sa.select(ranked) for ranked in ranges)).subquery()
    return (
        sa.select(rows.c.id)
        .order_by(rows.c.place.desc(), rows.c.received_at.desc(), rows.c.id.desc())
        .limit(window.limit + 1)
    )


def place_of(study: Study) -> Place:
    """Give the key of a row, for the page that follows it."""
    return Place(study.place, study.received_at, study.id)


def count_unread(session: Session, place: int | None = None) -> int:
    """Count what nobody has seen, of one place or of all, up to `COUNTED_TO`."""
    which = Study.place > SEEN if place is None else Study.place == place
    some = sa.select(Study.id).where(which).limit(COUNTED_TO).subquery()
    return session.scalar(sa.select(sa.func.count()).select_from(some)) or 0


def newest_critical(session: Session) -> datetime | None:
    """Give when the newest critical result that nobody has seen was finished.

    That of the job: another series of its study may have ended later, with less.
    """
    newest = (
        sa.select(Study.id)
        .where(Study.place == CRITICAL, Study.finished_at.is_not(None))
        .order_by(Study.finished_at.desc())
        .limit(NEWEST)
    )
    of_critical = sa.select(sa.func.max(Job.finished_at)).join(Series)
    return session.scalar(
        of_critical.where(Series.study_id.in_(newest), Job.priority == Level.CRITICAL)
    )


def fingerprint(session: Session) -> str:
    """Give a text that changes with every change of the list: its newest changes."""
    newest = sa.select(Study.id, Study.changed_at).order_by(Study.changed_at.desc()).limit(20)
    return repr([tuple(row) for row in session.execute(newest)])


def _filters(window: Window) -> list[sa.ColumnElement[bool]]:
    given: list[sa.ColumnElement[bool]] = [_contains(word) for word in search_words(window.search)]
    equal = {
        Study.outcome: window.outcome,
        Study.priority: window.priority,
        Study.state: window.state,
        Study.station_name: window.station or None,
    }
    given += [column == value for column, value in equal.items() if value is not None]
    if window.since:
        given.append(Study.received_at >= window.since)
    if window.until:
        given.append(Study.received_at < window.until)
    if window.after:
        key = sa.tuple_(Study.place, Study.received_at, Study.id)
        given.append(key < sa.tuple_(*_typed(window.after)))
    return given


def _typed(after: Place) -> tuple[sa.ColumnElement[object], ...]:
    columns = (Study.place, Study.received_at, Study.id)
    values = (after.place, after.received_at, after.id)
    return tuple(
        sa.literal(value, column.type) for column, value in zip(columns, values, strict=True)
    )


def _contains(word: str) -> sa.ColumnElement[bool]:
    # A name is FAMILY^GIVEN: every word of the search may stand anywhere in any of the three.
    plain = word.replace("/", "//").replace("%", "/%").replace("_", "/_")
    # Not one or the other: a receiver of an older release writes the first of them alone.
    columns = (Study.search_text, Study.search_folded)
    return sa.or_(*(column.like(f"%{plain}%", escape="/") for column in columns))
