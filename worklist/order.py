"""The order of the worklist.

Priorities 1, 2 and 3 come first, each by arrival, oldest first. All others keep their normal place:
priority 4 (none found) and 0 (not analysed, or not yet done) stand together by arrival, since a
study is only ever moved up. "None found" does not exclude hemorrhage, so it never sinks below a
study that came later.
"""

from collections.abc import Iterable
from datetime import datetime

from schema.studies import urgency
from worklist.entries import Entry


def place(entry: Entry) -> tuple[int, datetime, str]:
    """Give the sort key of one study; the UID keeps two of the same instant in place."""
    return urgency(entry.priority), entry.received_at, entry.study_instance_uid


def most_urgent_first(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Sort studies as they should be read."""
    return tuple(sorted(entries, key=place))
