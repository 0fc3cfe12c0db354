"""`python -m receiver`: receive CT studies over DICOM until stopped; or one of the commands."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from receiver.dispatch.planner import Planner
from receiver.force import UnknownStudyError, failed_since, force
from receiver.selection.dry_run import try_folder
from receiver.selection.dry_run_text import count_files, describe
from receiver.selection.pixel_look import look_with_worker
from receiver.selection.rules import load_rules
from schema.database import Database, open_database
from schema.errors import SourceFileMissingError, TriageError
from schema.extras import of_extra
from schema.files import keep_private
from schema.log import set_up_log
from schema.settings import settings_or_exit, stop

# Pretty exceptions print locals, and a local may be a patient's.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
StudyUid = Annotated[str | None, typer.Argument(help="Study Instance UID (0020,000D)")]
Failed = Annotated[bool, typer.Option("--failed", help="All that FAILED --since, instead of one.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"],
        help="With --failed: those that ended since this time, of this host's zone if it has none.",
    ),
]
Reason = Annotated[
    str | None, typer.Option(help="With --failed: only those with these words in their reason.")
]
SeriesUid = Annotated[
    str | None,
    typer.Option("--series", help="Series Instance UID; analysed even if another scored more."),
]
Folder = Annotated[Path, typer.Argument(exists=True, file_okay=False, readable=True)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Receive studies until SIGTERM or SIGINT; SIGHUP begins again and leaves the ports open."""
    if context.invoked_subcommand is not None:
        return
    with of_extra("receiver"):  # `force` and `dry-run` do without, on every host
        from receiver.service import Ending, serve

    settings = settings_or_exit()
    set_up_log(settings)
    keep_private()
    try:
        serve(settings, Ending())
    except (TriageError, OSError) as error:
        stop(error)


@app.command(name="force")
def force_study(
    study_uid: StudyUid = None,
    series: SeriesUid = None,
    failed: Failed = False,
    since: Since = None,
    reason: Reason = None,
) -> None:
    """Decide on a study now, without waiting; open failed or unread ones for another run."""
    if failed == (study_uid is not None) or failed != (since is not None):
        raise typer.BadParameter("give either STUDY_UID, or --failed with --since")
    settings = settings_or_exit()
    set_up_log(settings.model_copy(update={"log_level": "WARNING"}))  # the answer is one line
    try:
        database = open_database(settings)
        planner = Planner.of(settings, database)
        if study_uid is not None:
            typer.echo(force(database, planner, study_uid, series))
        elif since is not None:
            _force_all(database, planner, failed_since(database, _aware(since), reason))
    except UnknownStudyError as error:
        typer.echo(f"ihsnet-triage: {error}", err=True)
        raise typer.Exit(1) from None
    except (TriageError, OSError) as error:
        stop(error)


def _force_all(database: Database, planner: Planner, uids: Sequence[str]) -> None:
    """Open many studies; one whose files are missing holds up none of the others."""
    left = 0
    for uid in uids:
        try:
            typer.echo(force(database, planner, uid, None))
        except SourceFileMissingError as error:
            left += 1
            typer.echo(f"study {uid}: left as it is, {error}")
    typer.echo(f"{len(uids) - left} opened, {left} left")
    if left:
        raise typer.Exit(1)


def _aware(moment: datetime) -> datetime:
    """Take a time without a zone as this host's own."""
    return moment.astimezone()


@app.command(name="dry-run")
def dry_run(folder: Folder, as_json: AsJson = False) -> None:
    """Say which series of a folder of DICOM files would be chosen and why; stores nothing."""
    settings = settings_or_exit()
    try:
        rules = load_rules(settings.selection, settings.words)
        tried = try_folder(folder, rules, count_files(), look_with_worker)
    except (TriageError, OSError) as error:
        stop(error)
    typer.echo(json.dumps(asdict(tried), indent=2) if as_json else describe(tried))


@app.command()
def canary(
    wait_s: Annotated[float, typer.Option(help="How long to wait for its result.")] = 300,
) -> None:
    """Send a synthetic head the whole way now, and say whether its result is the known one."""
    with of_extra("receiver"):
        from receiver.canary.command import send_and_wait

    settings = settings_or_exit()
    set_up_log(settings.model_copy(update={"log_level": "WARNING"}))  # the answer is one line
    try:
        ended = send_and_wait(settings, open_database(settings), wait_s)
    except (TriageError, OSError) as error:
        stop(error)
    typer.echo(ended.line)
    raise typer.Exit(0 if ended.is_known else 1)


if __name__ == "__main__":
    app(prog_name="python -m receiver")
