"""`python -m worklist`: serve the page, print the list, explain a study."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from sqlalchemy.exc import SQLAlchemyError

from schema.database import Database, open_database
from schema.errors import TriageError
from schema.settings import Settings, settings_or_exit, stop
from worklist import queries, serialization, text
from worklist.formatting import printable

# Pretty exceptions print locals, and a local may be a patient's.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
T = TypeVar("T")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
StudyUid = Annotated[str, typer.Argument(help="Study Instance UID (0020,000D)")]


@app.callback(invoke_without_command=True)
def serve(context: typer.Context) -> None:
    """Serve the page on TRIAGE_WORKLIST_HOST and TRIAGE_WORKLIST_PORT."""
    if context.invoked_subcommand is None:
        from worklist.server import run  # the list starts faster without a web server

        settings = settings_or_exit()
        run(settings, _or_stop(lambda: open_database(settings)))


@app.command(name="list")
def list_studies(as_json: AsJson = False) -> None:
    """Print all studies, most urgent first."""
    worklist = _query(queries.read_worklist)
    if as_json:
        _print_json(serialization.worklist_json(worklist))
    else:
        text.print_worklist(worklist)


@app.command()
def explain(study_uid: StudyUid, as_json: AsJson = False) -> None:
    """Print why a study got its outcome."""
    found = _query(lambda database, storage: queries.read_explanation(database, storage, study_uid))
    if found is None:
        typer.echo(f"ihsnet-triage: no study {printable(study_uid)} was received", err=True)
        raise typer.Exit(1)
    if as_json:
        _print_json(serialization.explanation_json(found))
    else:
        text.print_explanation(found)


def _query(read: Callable[[Database, Path], T]) -> T:
    settings: Settings = settings_or_exit()
    return _or_stop(lambda: read(open_database(settings), settings.storage))


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
