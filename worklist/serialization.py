"""Entries and explanations as JSON: the contract that other programs read."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from worklist.acknowledgement import GivenVerdict
from worklist.entries import Entry, Worklist
from worklist.explanation import Explanation
from worklist.formatting import iso
from worklist.wording import wording_of

# What leaves the page, in the order of the contract; whatever is not named here stays on it, as
# the patient's name does: files and terminals live longer than a page.
ENTRY_FIELDS = (
    "study_instance_uid",
    "accession_number",
    "patient_id",
    "patient_sex",
    "study_date",
    "study_time",
    "study_description",
    "station_name",
    "state",
    "outcome",
    "earlier_outcome",
    "reason",
    "priority",
    "priority_reason",
    "received_at",
    "ready_at",
    "finished_at",
    "age_s",
    "late",
    "model",
    "revision",
    "coverage",
    "unlike_training",
    "unread",
    "acknowledged_at",
    "acknowledged_by",
    "escalated_at",
    "findings",
    "key_picture",
    "objects",
)


def worklist_json(worklist: Worklist) -> list[Any]:
    """Make the array of the contract, most urgent first."""
    return [entry_json(entry) for entry in worklist.entries]


def entry_json(entry: Entry) -> dict[str, Any]:
    """Make one object of the contract's array."""
    fields, wording = asdict(entry), wording_of(entry)
    shown = {"shown_as": wording.words, "note": wording.note}
    return {name: plain(fields[name]) for name in ENTRY_FIELDS} | shown


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Make the object that `explain --json` prints: the study's row, extended."""
    fields = asdict(explanation)
    del fields["entry"]
    return entry_json(explanation.entry) | _plain_fields(fields)


def verdicts_json(verdicts: Iterable[GivenVerdict]) -> list[Any]:
    """Make the array that `verdicts --json` prints."""
    return [verdict_json(verdict) for verdict in verdicts]


def verdict_json(verdict: GivenVerdict) -> dict[str, Any]:
    """Make one of them, with what it says of blood."""
    return _plain_fields(asdict(verdict) | {"bleeds": verdict.bleeds})


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(item) for key, item in fields.items()}


def plain(value: Any) -> Any:
    """Make dates, paths and numbers that JSON cannot hold into what it can."""
    match value:
        case datetime():
            return iso(value)
        case Path():
            return str(value)
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return _plain_fields(value)
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value
