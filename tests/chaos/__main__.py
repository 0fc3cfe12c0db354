"""Break everything, one thing after another, and count: `python -m tests.chaos [--studies 200]`.

Two receivers, two workers, a delivery worker, PostgreSQL, Redis and Orthanc, all real, with a model
of almost nothing; four scanners send while it happens. Exits 1 if anything was lost or doubled.
"""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.hospital import Hospital, hospital
from tests.chaos.modalities import Modalities
from tests.chaos.troubles import Trouble, troubles
from tests.chaos.verdict import Verdict, judge
from tests.support.processes import wait_for

SCANNERS: Final = 4
UNDER_WAY: Final = 12  # studies that were sent and have no outcome yet
DEADLINE_S: Final = 3600


@dataclass(frozen=True)
class Row:
    """A line of the report."""

    name: str
    seconds: float
    ended: int
    missing: str | None = None


def main() -> None:
    """Run, print the report as Markdown, exit 1 on a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--receivers", type=int, default=2)
    parser.add_argument("--only", help="troubles whose name contains this")
    parser.add_argument("--folder", type=Path, help="an empty one, whose logs are kept")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos", ignore_cleanup_errors=True) as temporary:
        folder = asked.folder or Path(temporary)
        rows, verdict = run(folder, asked.studies, asked.receivers, asked.only or "")
    report(rows, verdict)
    sys.exit(0 if verdict.is_clean else 1)


def run(
    folder: Path, studies: int, receivers: int = 2, only: str = ""
) -> tuple[list[Row], Verdict]:
    """Let the troubles happen while studies arrive; wait until all have ended, and look."""
    with hospital(folder, receivers) as site:
        sent = Modalities(site.ports(), threading.Semaphore(UNDER_WAY))
        stopped = threading.Event()
        pacer = threading.Thread(target=_pace, args=(site, sent, stopped), daemon=True)
        scanners = sent.start(studies, SCANNERS)
        pacer.start()
        wait_for("the first outcome", lambda: site.ended() > 0, DEADLINE_S)
        due = [trouble for trouble in troubles(site) if only in trouble.name]
        rows = [_happen(site, trouble) for trouble in due]
        sent.enough.set()
        for scanner in scanners:
            scanner.join(DEADLINE_S)
        studies = len(sent.studies)
        began = time.monotonic()
        wait_for("all outcomes", lambda: site.ended() >= studies and site.quiet(), DEADLINE_S)
        wait_for("all deliveries", lambda: site.undelivered() == 0, DEADLINE_S)
        rows.append(Row("until all was done", time.monotonic() - began, site.ended()))
        stopped.set()
        return rows, judge(site, sent)


def _happen(site: Hospital, trouble: Trouble) -> Row:
    began = time.monotonic()
    if trouble.missing is None:
        trouble.happen()
    row = Row(trouble.name, time.monotonic() - began, site.ended(), trouble.missing)
    sys.stderr.write(f"{row.name}: {row.missing or f'{row.seconds:.0f} s'}, {row.ended} ended\n")
    return row


def _pace(site: Hospital, sent: Modalities, stopped: threading.Event) -> None:
    """Let another study come for each that has ended, so that there are some at every trouble."""
    released = 0
    while not stopped.wait(0.2):
        ended = site.ended()
        while released < ended:
            sent.waiting.release()
            released += 1


def report(rows: list[Row], verdict: Verdict) -> None:
    """Print what happened and what became of it."""
    print("| what happened | seconds | studies ended by then |\n|---|---|---|")
    for row in rows:
        print(f"| {row.name} | {row.missing or f'{row.seconds:.0f}'} | {row.ended} |")
    print("\n| what became of it | |\n|---|---|")
    for name, count in (verdict.facts | verdict.faults).items():
        print(f"| {name} | {count} |")
    sys.stderr.write("".join(f"{line}\n" for line in verdict.details))


if __name__ == "__main__":
    main()
