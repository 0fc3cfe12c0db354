"""Which of the results of a series, or of a study that was not analysed, an object belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from worker.forms import Audience


@dataclass(frozen=True)
class Revision:
    """A revision, and what it replaces.

    Attributes
    ----------
    number
        Of the series; of the study where nothing was analysed.
    replaces
        Whether there was a result before, be its files there or not.
    reports
        The reports before that can be read, by whom they are for.
    """

    number: int = 1
    replaces: bool = False
    reports: Mapping[Audience, Path] = field(default_factory=dict)

    def report_for(self, audience: Audience) -> Path | None:
        """Find the report that a new one replaces: one that the same archives have."""
        return self.reports.get("full" if audience == "all" else audience)


FIRST: Final = Revision()
