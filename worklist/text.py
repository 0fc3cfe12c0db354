"""The list and the explanation as text for a terminal or a pipe."""

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from schema.hemorrhage_subtypes import Claim
from worklist.coverage import part_seen
from worklist.entries import Entry, FindingRow, Worklist
from worklist.explanation import (
    Announced,
    Explanation,
    IdentityAccount,
    JobAccount,
    SeriesAccount,
)
from worklist.formatting import (
    calendar_date,
    clock,
    clock_time,
    duration,
    flatten,
    printable,
    without_repeats,
)
from worklist.queueing import name_place
from worklist.unlikeness import unlike_training
from worklist.warnings import empty_means, warnings_of
from worklist.wording import (
    is_found,
    marks_of,
    name_findings,
    name_level,
    say_claim,
    seen_by,
    wording_of,
)

PIPE_WIDTH = 160  # a pipe has no width of its own, and 80 columns would break every UID
HEADER = ("Priority", "Outcome", "Findings", "Patient, accession", "Received", "Study", "Why")
SHOWN = 5  # columns of HEADER that a terminal shows on one line
NOTHING = "No study is on the list: none was received, or none meets what was asked for."
DISCLAIMER = "Research software, not a medical device. Scores are the model's own."
STYLES = {
    "positive": "bold red",
    "uncertain": "yellow",
    "negative": "",
    "unread": "magenta",
    "failed": "magenta",
    "pending": "cyan",
}


def print_worklist(worklist: Worklist, zone: tzinfo = UTC) -> None:
    """Print the studies, most urgent first: one line each in a pipe, with its UID below else."""
    console = _console()
    for words in warnings_of(worklist):
        console.print(Text(words, "bold magenta"), soft_wrap=True)
    if worklist.entries:
        _print_studies(console, worklist, zone)
    else:
        console.print(empty_means(worklist, NOTHING))
    console.print(f"Read at {clock(worklist.read_at, zone)}. {DISCLAIMER}")


def _print_studies(console: Console, worklist: Worklist, zone: tzinfo) -> None:
    rows = [HEADER, *(list_cells(entry, zone) for entry in worklist.entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(SHOWN)]
    for number, row in enumerate(rows):
        entry = worklist.entries[number - 1] if number else None
        style = STYLES[wording_of(entry).key] if entry else "bold"
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        if console.is_terminal:
            console.print(Text(line.rstrip(), style, overflow="fold"))
            if entry:
                console.print(Text(f"   {row[SHOWN]}\n   {row[SHOWN + 1]}", "dim"), soft_wrap=True)
        else:
            # Never broken: a line is a study, and its UID can be searched for and copied.
            console.print("  ".join((line, *row[SHOWN:])).rstrip(), soft_wrap=True)


def list_cells(entry: Entry, zone: tzinfo = UTC) -> tuple[str, ...]:
    """Give the cells of a line: five that are aligned, then the UID and the reasons."""
    received = f"{clock(entry.received_at, zone)}, {duration(entry.age_s)} ago"
    return (
        name_level(entry.priority),
        wording_of(entry).words,
        ", ".join(name_findings(entry)) or "-",
        f"{printable(entry.patient_id) or '-'} {printable(entry.accession_number)}".strip(),
        ", ".join((received, *_marks(entry))),
        printable(entry.study_instance_uid),
        "; ".join(_reasons(entry)) or "-",
    )


def _marks(entry: Entry) -> list[str]:
    marks = [mark.lower() for mark in marks_of(entry)]
    return [*marks, seen] if (seen := seen_by(entry)) else marks


def _reasons(entry: Entry) -> Sequence[str]:
    note = wording_of(entry).note.rstrip(".")
    part = part_seen(entry.coverage, entry.priority_reason)
    unlike = unlike_training(entry.unlike_training)
    said = (note, part, unlike, printable(entry.reason), printable(entry.priority_reason))
    return without_repeats(said)


def print_explanation(explanation: Explanation, zone: tzinfo = UTC) -> None:
    """Print the outcome, then every series with its jobs."""
    console, entry = _console(), explanation.entry
    verdict = wording_of(entry)
    console.print(Text(f"{name_level(entry.priority)}: {verdict.words}", STYLES[verdict.key]))
    _print_fields(console, 2, _study_fields(explanation, zone))
    for series in explanation.series:
        number = series.series_number or "without number"
        described = printable(series.description) or "without description"
        console.print(Text(f"\nSeries {number}: {described}", "bold"))
        _print_fields(console, 2, _series_fields(series, zone))
        for job in series.jobs:
            console.print(Text(f"\n  Job {job.id}, revision {job.revision}: {job.state}", "bold"))
            _print_fields(console, 4, _job_fields(job, zone))


def _study_fields(explanation: Explanation, zone: tzinfo) -> dict[str, str]:
    entry = explanation.entry
    return {
        "why": "; ".join(_reasons(entry)),
        "marks": ", ".join(_marks(entry)),
        "state": f"{entry.state}, revision {entry.revision}",
        "study": f"{printable(entry.study_instance_uid)} {printable(entry.study_description)}",
        "studied": f"{calendar_date(entry.study_date)} {clock_time(entry.study_time)}",
        "station": printable(entry.station_name),
        "patient": f"{printable(entry.patient_id)} {printable(entry.patient_sex)}",
        "identities": "\n".join(name_identity(event, zone) for event in explanation.identities),
        "accession": printable(entry.accession_number),
        "received": f"{clock(entry.received_at, zone)}, {duration(entry.age_s)} ago",
        "ready": _moment(clock(entry.ready_at, zone), explanation.ready_after_s),
        "finished": _moment(clock(entry.finished_at, zone), explanation.finished_after_s),
        "model": printable(entry.model),
    }


def name_identity(event: IdentityAccount, zone: tzinfo) -> str:
    """Say what a second identity under a study was taken for."""
    earlier, later = event.earlier_patient_id, event.later_patient_id
    ids = f"{printable(earlier) or '-'} -> {printable(later) or '-'}"
    over = f", over since {clock(event.resolved_at, zone)}" if event.resolved_at else ""
    noted = f"{clock(event.noted_at, zone)}{over}"
    series = printable(event.series_instance_uid)
    return f"{event.kind}: {ids}, {printable(event.differs)} differs, {noted}, series {series}"


def _moment(at: str, after_s: float | None) -> str:
    return "" if after_s is None else f"{at}, {after_s:.1f} s after the first image"


def _series_fields(series: SeriesAccount, zone: tzinfo) -> dict[str, str]:
    resent = ", ".join(
        f"{printable(resent.sop_instance_uid)} ({resent.versions} versions)"
        for resent in series.resent
    )
    return {
        "state": f"{series.state}, revision {series.revision}",
        "decided": printable(series.completed_by) or "not yet, it may still arrive",
        "score": "none" if series.score is None else f"{series.score:g}",
        "reason": printable(series.reason),
        "rules": _named("selection version", series.selection_version),
        "series": f"{printable(series.modality)} {printable(series.series_instance_uid)}",
        "instances": str(series.instances),
        "removed": f"{series.removed_instances} instances, when their time was over"
        if series.removed_instances
        else "",
        "re-sent": resent,
        "left out": "\n".join(
            f"{left_out.instances} {printable(left_out.reason)}" for left_out in series.left_out
        ),
        "announced": "\n".join(_announced(said, zone) for said in series.announced),
        "arrived": " to ".join(
            clock(at, zone) for at in (series.first_instance_at, series.last_instance_at)
        ),
    }


def _announced(said: Announced, zone: tzinfo) -> str:
    who = printable(said.ae_title)
    return f"{said.instances} instances, {said.source} of {who}, {clock(said.announced_at, zone)}"


def _named(name: str, value: str | None) -> str:
    return f"{name} {printable(value)}" if value else ""


def _job_fields(job: JobAccount, zone: tzinfo) -> dict[str, str]:
    return {
        "outcome": str(job.outcome or ""),
        "priority": f"{name_level(job.priority)} {printable(job.priority_reason)}",
        "reason": printable(job.reason),
        "shown": "decides what the list shows" if job.shown else "",
        "queue": name_place(job.queue, zone),
        "attempts": str(job.attempts),
        "owner": printable(job.owner),
        "lease until": clock(job.lease_until, zone),
        "created": clock(job.created_at, zone),
        "started": clock(job.started_at, zone),
        "finished": clock(job.finished_at, zone),
        "last error": printable(job.last_error),
        "rule": printable(job.rule_version),
        "measured": _pairs(job.measured),
        "look": _pairs(job.look),
        "findings": "\n".join(describe_finding(finding) for finding in job.findings),
        "model": f"{printable(job.model)} {printable(job.model_sha256)}".strip(),
        "seconds": _pairs(job.timings_s),
        "objects": "\n".join(f"{written.kind} {written.path}" for written in job.objects),
        "delivered": _pairs(
            {written.kind: written.delivered for written in job.objects if written.delivered}
        ),
    }


def describe_finding(finding: FindingRow) -> str:
    """Say of one type what the page says of it."""
    said = f"{finding.subtype} {say_claim(finding)}"
    if finding.claim is Claim.NOT_TOLD_APART:
        return said
    # What lies below the threshold, or is a hint, has no volume to act on.
    is_told = is_found(finding) and finding.claim is Claim.REPORTED
    volume = f", {finding.volume_ml:.1f} mL" if is_told else ""
    return f"{said}{volume}, score {finding.probability:.2f}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in flatten(values))


def _print_fields(console: Console, indent: int, fields: Mapping[str, str]) -> None:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        if value.strip():
            grid.add_row(Text(" " * indent + name, "dim"), Text(value))
    console.print(grid)


def _console() -> Console:
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
