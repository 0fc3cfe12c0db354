"""Which of the reports that were written a new one names as its predecessor."""

from collections.abc import Iterable
from pathlib import Path

from schema.tables import ResultObject


def newest_report(written: Iterable[ResultObject], storage: Path) -> Path | None:
    """Find the file of the newest report among these objects; None where there is none, or no file.

    The one without masks' places, for `triage-only`, stands beside another and is no predecessor.
    """
    reports = [each for each in written if each.kind == "SR" and each.audience != "triage"]
    newest = max(reports, key=lambda report: report.id, default=None)
    path = storage / newest.path if newest else None
    return path if path and path.exists() else None
