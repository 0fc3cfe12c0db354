"""Which of the reports that were written a new one names as its predecessor."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

from schema.tables import ResultObject
from worker.forms import Audience

log = structlog.get_logger()

REPORTED: Final[tuple[Audience, ...]] = ("full", "triage")


def newest_reports(written: Iterable[ResultObject], storage: Path) -> dict[Audience, Path]:
    """Find the files of the newest report among these objects, by whom they are for.

    One that is missing or damaged is left out: a report without a predecessor is better than none.
    """
    reports = sorted((each for each in written if each.kind == "SR"), key=lambda each: each.id)
    newest = {
        audience: report
        for report in reports
        for audience in REPORTED
        if report.audience in ("all", audience)
    }
    readable = {report.id for report in set(newest.values()) if _can_be_read(report, storage)}
    return {
        audience: storage / report.path
        for audience, report in newest.items()
        if report.id in readable
    }


def _can_be_read(report: ResultObject, storage: Path) -> bool:
    path = storage / report.path
    fault = _fault(path, report.sha256)
    if fault is not None:
        log.warning("earlier report is not named as replaced", file=path.name, reason=fault)
    return fault is None


def _fault(path: Path, sha256: str) -> str | None:
    """Say what keeps a file from being read as it was written; pydicom takes half for a whole."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return error.strerror or type(error).__name__
    return None if digest == sha256 else "damaged, not what was written"
