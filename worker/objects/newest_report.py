"""Which of the reports that were written a new one names as its predecessor."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import structlog

from schema.tables import ResultObject

log = structlog.get_logger()


def newest_report(written: Iterable[ResultObject], storage: Path) -> Path | None:
    """Find the file of the newest report among these objects; None where there is none.

    Nor is one that is missing or damaged: a report without a predecessor is better than none. The
    one without masks' places, for `triage-only`, stands beside another and is no predecessor.
    """
    reports = [each for each in written if each.kind == "SR" and each.audience != "triage"]
    newest = max(reports, key=lambda report: report.id, default=None)
    if newest is None:
        return None
    path = storage / newest.path
    fault = _fault(path, newest.sha256)
    if fault is not None:
        log.warning("earlier report is not named as replaced", file=path.name, reason=fault)
    return path if fault is None else None


def _fault(path: Path, sha256: str) -> str | None:
    """Say what keeps a file from being read as it was written; pydicom takes half for a whole."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None if digest == sha256 else "damaged, not what was written"
