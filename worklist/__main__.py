"""`python -m worklist`: serve the page, print the list, explain a study."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from schema.database import Database
from schema.errors import TriageError
from schema.extras import of_extra
from schema.settings import Settings, settings_or_exit, stop
from worklist import serialization, text
from worklist.access.commands import app as users
from worklist.explaining import read_explanation
from worklist.formatting import printable
from worklist.opening import default_window, open_to_read, open_to_serve
from worklist.performance import sum_up
from worklist.queries import read_worklist
from worklist.warnings import warnings_of
from worklist.window import JSON_ROWS, read_window

# Pretty exceptions print locals, and a local may be a patient's.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(users, name="user")
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
StudyName = Annotated[
    str, typer.Argument(help="Study Instance UID (0020,000D) or Accession Number (0008,0050)")
]


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Serve the page on TRIAGE_WORKLIST_HOST and TRIAGE_WORKLIST_PORT."""
    if context.invoked_subcommand is None:
        with of_extra("worklist"):  # the list starts faster without a web server
            from worklist.server import run

        settings = settings_or_exit()
        run(settings, _or_stop(lambda: open_to_serve(settings)))


@app.command(name="list")
def list_studies(
    as_json: AsJson = False,
    outcome: Annotated[str, typer.Option(help="POSITIVE, NEGATIVE, INDETERMINATE, ...")] = "",
    priority: Annotated[str, typer.Option(help="0 to 4.")] = "",
    state: Annotated[str, typer.Option(help="RECEIVING, READY, RUNNING or DONE.")] = "",
    station: Annotated[str, typer.Option(help="Station Name (0008,1010).")] = "",
    since: Annotated[str, typer.Option(help="Received since: 2026-03-01T08:00, 36h, 14d.")] = "",
    until: Annotated[str, typer.Option(help="Received before.")] = "",
    search: Annotated[str, typer.Option(help="In name, patient ID and accession number.")] = "",
    unread: Annotated[bool, typer.Option("--unread", help="Only what nobody has seen.")] = False,
    every: Annotated[bool, typer.Option("--all", help="Also what was seen hours ago.")] = False,
    limit: Annotated[str, typer.Option(help=f"At most so many; {JSON_ROWS} unless told.")] = "",
    after: Annotated[str, typer.Option(help="Go on behind the end of an earlier answer.")] = "",
) -> None:
    """Print the list: unread first, the most urgent of them, the newest within a level."""
    asked = {
        "outcome": outcome, "priority": priority, "state": state, "station": station,
        "since": since, "until": until, "search": search, "limit": limit, "after": after,
        "view": "unread" if unread else "all" if every else "",
    }  # fmt: skip
    settings = settings_or_exit()
    now = datetime.now(settings.zone)
    window = _or_stop(lambda: read_window(asked, now, default_window(settings, JSON_ROWS)))
    worklist = _query(lambda database, storage: read_worklist(database, storage, window))
    if as_json:
        _print_json(serialization.worklist_json(worklist))
        for words in warnings_of(worklist):
            typer.echo(words, err=True)
    else:
        text.print_worklist(worklist, settings.zone)
    if worklist.after:
        typer.echo(f"More studies follow; --after {worklist.after.written()}", err=True)


@app.command()
def explain(study: StudyName, as_json: AsJson = False) -> None:
    """Print why a study got its outcome."""
    late = timedelta(seconds=settings_or_exit().study_late_s)
    found = _query(lambda database, storage: read_explanation(database, storage, study, late))
    if found is None:
        typer.echo(f"ihsnet-triage: no study {printable(study)} was received", err=True)
        raise typer.Exit(1)
    if as_json:
        _print_json(serialization.explanation_json(found))
    else:
        text.print_explanation(found, settings_or_exit().zone)


@app.command()
def verdicts(
    as_json: AsJson = False,
    summary: Annotated[
        bool, typer.Option("--summary", help="Sum up: the site's own predictive values.")
    ] = False,
) -> None:
    """Print what readers said of the results, for the trainer: CSV unless told otherwise."""
    from worklist import export

    found = _query(lambda database, _storage: export.read_all(database))
    if summary:
        _print_json(serialization.plain(asdict(sum_up(found))))
    elif as_json:
        _print_json(serialization.verdicts_json(found))
    else:
        sys.stdout.write(export.as_csv(found))


def _query(read: Callable[[Database, Path], T]) -> T:
    settings: Settings = settings_or_exit()
    return _or_stop(lambda: read(open_to_read(settings), settings.storage))


def _or_stop(action: Callable[[], T]) -> T:
    try:
        return action()
    except TriageError as error:
        stop(TriageError(_one_line(error)))
    except (SQLAlchemyError, OSError) as error:  # no database at all: a bad URL, file or folder
        stop(TriageError(f"database: {_one_line(error)}"))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())  # PostgreSQL's driver answers in paragraphs


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))


if __name__ == "__main__":
    app(prog_name="python -m worklist")
