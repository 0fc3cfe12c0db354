"""How long a series has been quiet, by a clock that nobody can set.

The rows have the database's time, which may jump: after an hour back, the newest image would lie in
the future, and its series would be waited for until then.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ReceivingSeries:
    """When a series got its first and its newest instance, by the database, and its revision."""

    series_id: int
    first_instance_at: datetime
    last_instance_at: datetime
    revision: int = 1


@dataclass(frozen=True)
class Age:
    """Seconds since the first and since the newest instance of a series' revision."""

    since_first_s: float
    since_last_s: float


@dataclass(frozen=True)
class _Noticed:
    series: ReceivingSeries
    age: Age
    first_at_s: float  # of the steady clock, when the first or the newest instance was noticed
    last_at_s: float


class Ages:
    """Counts on from the moment at which an instance was noticed."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._noticed: dict[int, _Noticed] = {}

    def age(self, series: ReceivingSeries, now: datetime) -> Age:
        """Give the ages of a series.

        Parameters
        ----------
        now
            The database's time; looked at only for what is noticed now, as after a start.
        """
        clock_s = self._monotonic()
        noticed = self._noticed.get(series.series_id)
        if noticed is None or noticed.series != series:
            noticed = _notice(series, noticed, now, clock_s)
            self._noticed[series.series_id] = noticed
        return Age(
            noticed.age.since_first_s + clock_s - noticed.first_at_s,
            noticed.age.since_last_s + clock_s - noticed.last_at_s,
        )

    def forget_others(self, series_ids: Collection[int]) -> None:
        """Forget the series that are not waited for any more."""
        self._noticed = {key: self._noticed[key] for key in self._noticed.keys() & {*series_ids}}


def _notice(
    series: ReceivingSeries, before: _Noticed | None, now: datetime, clock_s: float
) -> _Noticed:
    """Begin to count; the first instance of a revision is noticed once."""
    last_s = max((now - series.last_instance_at).total_seconds(), 0.0)
    if before is not None and _first(before.series) == _first(series):
        age = Age(before.age.since_first_s, last_s)
        return _Noticed(series, age, before.first_at_s, clock_s)
    first_s = max((now - series.first_instance_at).total_seconds(), 0.0)
    # What opened a series again came later than its first image, and has no row of its own.
    since_first_s = first_s if series.revision == 1 else last_s
    return _Noticed(series, Age(since_first_s, last_s), clock_s, clock_s)


def _first(series: ReceivingSeries) -> tuple[datetime, int]:
    return series.first_instance_at, series.revision
