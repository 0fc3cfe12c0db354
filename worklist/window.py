"""Which part of the list is asked for: filters, search, and the row to go on from."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from schema.errors import PermanentError
from schema.letters import fold
from schema.states import Outcome, StudyState

PAGE_ROWS = 50
JSON_ROWS = 1000
MOST_ROWS = 5000
RECENT = timedelta(hours=8)  # a shift: what was read in it is still on the list
LATE = timedelta(seconds=900)  # nothing moved in a study for so long
MOST_WORDS = 8  # of a search
# The page writes DOE^JANE as DOE, JANE: a reader may search for either.
SEPARATORS = re.compile(r"[\s,^]+")
AGE = re.compile(r"(\d{1,6})\s*(s|m|min|h|d|w)")
E = TypeVar("E", bound=StrEnum)
UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


class WindowError(PermanentError):
    """A filter of the list is not one, or its value is none of the allowed ones."""


class View(StrEnum):
    """Which studies the list starts from."""

    CURRENT = "current"  # what nobody has seen, and whatever came in the last hours
    UNREAD = "unread"
    ALL = "all"


@dataclass(frozen=True)
class Place:
    """Where a row stands: the key that the next page goes on from."""

    place: int
    received_at: datetime
    id: int

    def written(self) -> str:
        """Write it as one word for an address or a command line."""
        plain = json.dumps([self.place, self.received_at.astimezone(UTC).isoformat(), self.id])
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Place":
        """Read what `written` wrote.

        Raises
        ------
        WindowError
            If it is something else.
        """
        try:
            plain = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
            place, at, number = json.loads(plain)
            received_at = datetime.fromisoformat(at)
            if received_at.tzinfo is None:
                raise WindowError("after: its time has no zone")
            return cls(int(place), received_at, int(number))
        except (ValueError, TypeError, binascii.Error) as error:
            raise WindowError(
                "after: not the end of a page; take the one that the last answer gave"
            ) from error


@dataclass(frozen=True)
class Window:
    """A question to the list; the default is what the page opens with."""

    view: View = View.CURRENT
    search: str = ""
    outcome: Outcome | None = None
    priority: int | None = None
    state: StudyState | None = None
    station: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: Place | None = None
    limit: int = PAGE_ROWS
    recent: timedelta = RECENT
    late: timedelta = LATE

    @property
    def is_filtered(self) -> bool:
        """Whether studies of its view may be missing from the list."""
        given = (self.search, self.outcome, self.state, self.station, self.since, self.until)
        return any(given) or self.priority is not None


FILTERS = frozenset({field.name for field in fields(Window)} - {"recent", "late"}) | {"unread"}


def read_window(given: Mapping[str, str], now: datetime, defaults: Window) -> Window:
    """Read the filters of a query string or a command line; empty ones count as absent.

    Raises
    ------
    WindowError
        If a value is not one that the filter knows; the message names both.
    """
    asked = {name: value.strip() for name, value in given.items() if value.strip()}
    if unknown := sorted(asked.keys() - FILTERS):
        # Passed over, it would show what nobody asked for as what was.
        raise WindowError(f"{unknown[0]}: no such filter; there are {', '.join(sorted(FILTERS))}")
    try:
        return Window(
            view=_view(asked, defaults.view),
            search=_search(asked.get("search", "")),
            outcome=_choice(Outcome, "outcome", asked),
            priority=_number(asked, "priority", 0, 4),
            state=_choice(StudyState, "state", asked),
            station=asked.get("station", ""),
            since=read_moment(asked["since"], now, "since") if "since" in asked else None,
            until=read_moment(asked["until"], now, "until") if "until" in asked else None,
            after=Place.read(asked["after"]) if "after" in asked else None,
            limit=_number(asked, "limit", 1, MOST_ROWS) or defaults.limit,
            recent=defaults.recent,
            late=defaults.late,
        )
    except OverflowError as error:
        raise WindowError("since or until: too far away") from error


def read_moment(text: str, now: datetime, name: str) -> datetime:
    """Read `2026-03-01`, `2026-03-01T08:00Z`, or an age such as `36h` or `14d`.

    Raises
    ------
    WindowError
        If it is neither.
    """
    if age := AGE.fullmatch(text):
        return now - timedelta(seconds=int(age[1]) * UNITS_S[age[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WindowError(
            f"{name}: {text!r} is neither a time (2026-03-01T08:00) nor an age (90min, 36h, 14d)"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def search_words(search: str) -> list[str]:
    """Take a search apart into the words that are looked for, folded as what they stand in."""
    return [word for word in SEPARATORS.split(fold(search)) if word]


def _search(search: str) -> str:
    """Refuse what would show everything, or more than was asked for, under the name of a search."""
    words = search_words(search)
    if search and not words:
        raise WindowError(f"search: {search!r} has no letter or number that could be looked for")
    if len(words) > MOST_WORDS:
        raise WindowError(f"search: {len(words)} words; it looks for {MOST_WORDS} at most")
    return search


def _view(asked: Mapping[str, str], default: View) -> View:
    if asked.get("unread", "").lower() in ("1", "true", "yes", "on"):
        return View.UNREAD
    return _choice(View, "view", asked) or default


def _choice(kind: type[E], name: str, asked: Mapping[str, str]) -> E | None:
    if name not in asked:
        return None
    for member in kind:
        if member.value.lower() == asked[name].lower():
            return member
    allowed = ", ".join(member.value for member in kind)
    raise WindowError(f"{name}: {asked[name]!r} is none of {allowed}")


def _number(asked: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    if name not in asked:
        return None
    text = asked[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and least <= int(text) <= most):
        raise WindowError(f"{name}: {text!r} is no number from {least} to {most}")
    return int(text)
