"""The filters of a list in words: what hides a study is said, and can be taken away."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from urllib.parse import urlencode

from worklist.formatting import clock, printable
from worklist.window import Window
from worklist.wording import OUTCOMES, name_level


@dataclass(frozen=True)
class ActiveFilter:
    """One filter in words, and the address of the list without it."""

    words: str
    without: str


def active_filters(
    window: Window, asked: Mapping[str, str], zone: tzinfo
) -> tuple[ActiveFilter, ...]:
    """Name each filter that may hide studies; also those that no control of the page shows."""
    return tuple(
        ActiveFilter(words, _without(asked, name)) for name, words in _say(window, zone) if words
    )


def _say(window: Window, zone: tzinfo) -> Iterator[tuple[str, str]]:
    outcome, state, level = window.outcome, window.state, window.priority
    yield "search", f"search “{printable(window.search)}”" if window.search else ""
    yield "outcome", f"outcome {OUTCOMES[outcome].words}" if outcome else ""
    yield "priority", f"priority {name_level(level)}" if level is not None else ""
    yield "state", f"state {state.lower()}" if state else ""
    yield "station", f"scanner {printable(window.station)}" if window.station else ""
    yield "since", f"received since {clock(window.since, zone)}" if window.since else ""
    yield "until", f"received before {clock(window.until, zone)}" if window.until else ""
    yield "after", "what follows an earlier page" if window.after else ""


def _without(asked: Mapping[str, str], name: str) -> str:
    # Where another filter goes, a later page of the old list is none of the new one.
    left = {key: value for key, value in asked.items() if key not in (name, "after")}
    return f"/?{urlencode(left)}" if left else "/"
