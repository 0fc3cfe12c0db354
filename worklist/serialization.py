"""Entries and explanations as JSON: the contract that other programs read."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from worklist.acknowledgement import GivenVerdict
from worklist.entries import Entry, Worklist
from worklist.explanation import Explanation

PAGE_ONLY = frozenset(
    {"patient_name", "patient_birth_date"}
)  # files and terminals live longer than a page


def worklist_json(worklist: Worklist) -> list[Any]:
    """Make the array of the contract, most urgent first."""
    return [entry_json(entry) for entry in worklist.entries]


def entry_json(entry: Entry) -> dict[str, Any]:
    """Make one object of the contract's array."""
    return _plain_fields(asdict(entry))


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Make the object that `explain --json` prints: the study's row, extended."""
    plain = _plain_fields(asdict(explanation))
    row: dict[str, Any] = plain.pop("entry")
    return row | plain


def verdicts_json(verdicts: Iterable[GivenVerdict]) -> list[Any]:
    """Make the array that `verdicts --json` prints."""
    return [plain(asdict(one)) for one in verdicts]


def iso(moment: datetime) -> str:
    """Write a point in time as ISO 8601 in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: plain(item) for key, item in fields.items() if key not in PAGE_ONLY}


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
