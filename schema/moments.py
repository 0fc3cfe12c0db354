"""Moments that rows are given ahead of time, such as the end of a lease, and clocks set back.

A moment further off than any is set was set by a clock that was set back since: nobody waits until
it is there again.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, SQLColumnExpression, or_

# A row may have been written after our transaction began, with a clock that is so much newer.
OTHER_CLOCKS: Final = timedelta(seconds=60)


def has_come(
    moment: SQLColumnExpression[Any], now: datetime, longest: timedelta
) -> ColumnElement[bool]:
    """Say that a moment is over, or was set by a clock that was set back since."""
    return or_(moment <= now, is_too_far_off(moment, now, longest))


def is_too_far_off(
    moment: SQLColumnExpression[Any], now: datetime, longest: timedelta
) -> ColumnElement[bool]:
    """Say that a moment is further off than any is set."""
    return moment > now + longest + OTHER_CLOCKS
