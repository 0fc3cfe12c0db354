"""What readers said, as a table for the trainer."""

import csv
import io
from collections.abc import Iterable
from dataclasses import fields

from schema.database import Database
from worklist.acknowledgement import GivenVerdict, read_verdicts
from worklist.queries import find_study
from worklist.serialization import verdict_json

COLUMNS = (*(field.name for field in fields(GivenVerdict)), "bleeds")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run it


def read_all(database: Database) -> list[GivenVerdict]:
    """Read every verdict, oldest first."""
    with database.reading() as session:
        return list(read_verdicts(session))


def read_of_study(database: Database, uid: str) -> list[GivenVerdict]:
    """Read the verdicts of one study, oldest first."""
    with database.reading() as session:
        study = find_study(session, uid)
        return list(read_verdicts(session, study)) if study else []


def as_csv(verdicts: Iterable[GivenVerdict]) -> str:
    """Write verdicts as CSV with a line of titles (RFC 4180)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    for verdict in verdicts:
        row = verdict_json(verdict)
        writer.writerow({name: _harmless(row[name]) for name in COLUMNS})
    return text.getvalue()


def _harmless(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
