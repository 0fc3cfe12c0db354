"""`python -m schema`: migrate the database, check the parts, run the private Redis."""

import os
from collections.abc import Callable
from socket import gethostname
from typing import Annotated, Final

import typer
from rich.console import Console
from sqlalchemy import make_url

from schema import broker, database
from schema.canaries import describe_canary, read_canaries, without_canaries
from schema.errors import StorageAwayError, StorageFullError, TriageError
from schema.files import MEGABYTE
from schema.monitoring.signs import forget_host
from schema.operation import read_operation
from schema.operation_lines import describe, describe_lack
from schema.settings import Settings, make_home, settings_or_exit, stop
from schema.space import read_space
from schema.storage import why_away

NO_WORKER: Final = 3  # the exit status of a check: nothing is broken, and nothing is analysed
NEXT: Final = "start the parts of this release; python -m schema check says how they do"
PAGE_ROLE: Final = "deploy/postgresql/page_role.sql, where the page has a role of its own; then "

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it prints locals, and a local may be a patient's
    help=__doc__,
)


@app.command()
def upgrade() -> None:
    """Bring the database to the newest migration, and say from which to which."""
    settings = settings_or_exit()
    try:
        done = database.upgrade(settings)
    except TriageError as error:
        stop(error)
    name = make_url(settings.database).render_as_string(hide_password=True)
    typer.echo(f"{name}: {_describe_upgrade(done)}")
    typer.echo(f"next: {'' if settings.embedded else PAGE_ROLE}{NEXT}")


@app.command()
def check(
    ready: Annotated[
        bool, typer.Option("--ready", help="Exit 3 while no worker is ready.")
    ] = False,
) -> None:
    """Say whether database, broker and storage answer, who works and what waits.

    Exit 1 if one of the three does not answer, or takes nothing.
    """
    settings = settings_or_exit()
    console = Console(highlight=False, markup=False)
    failed = set()
    for name, probe in PROBES.items():
        try:
            answer = probe(settings)
        except (TriageError, OSError) as error:
            answer = f"FAILED: {error}"
            failed.add(name)
        console.print(f"{name:<10}{answer}", soft_wrap=True)
    lines, status = ([], 0) if "database" in failed else _account(settings)
    for name, line in lines:
        console.print(f"{name:<10}{line}", soft_wrap=True)
    if status == NO_WORKER and not ready:
        status = 0
    raise typer.Exit(1 if failed else status)


@app.command()
def forget(host: Annotated[str, typer.Argument(help="As `check` names it.")]) -> None:
    """Forget what ran on a host that was taken away and gives no sign any more."""
    try:
        with database.connect_to_read(settings_or_exit()).transaction() as session:
            rows = forget_host(session, host)
    except TriageError as error:
        stop(error)
    typer.echo(f"{rows} forgotten of {host}")


@app.command(name="broker")
def run_broker() -> None:
    """Run the private Redis of the embedded default in the foreground; none beside your own."""
    settings = settings_or_exit()
    make_home(settings)
    if settings.broker_url is not None:
        typer.echo("TRIAGE_BROKER_URL is set: no private Redis runs", err=True)
    raise typer.Exit(broker.keep_broker(settings))


def _describe_upgrade(done: database.Upgrade) -> str:
    if done.before == done.after:
        return f"at revision {done.after}, nothing to do"
    before = f"revision {done.before}" if done.before else "no tables"
    return f"from {before} to revision {done.after}"


def _probe_database(settings: Settings) -> str:
    opened = database.connect_to_read(settings)
    database.require_fit(opened)
    database.require_writable(opened)
    found = database.standing(opened)
    return "ok" if found is database.Standing.CURRENT else f"ok ({found.value})"


def _probe_broker(settings: Settings) -> str:
    broker.ping(settings)
    return "ok"


def _account(settings: Settings) -> tuple[list[tuple[str, str]], int]:
    """Give the lines of the operation, and the exit status that it deserves."""
    try:
        opened = database.connect_to_read(settings)
        with without_canaries(opened).reading() as session:
            operation = read_operation(session, settings.study_late_s)
        with opened.reading() as session:
            lines = [*describe(operation), *describe_canary(read_canaries(session))]
    except TriageError as error:
        return [("tables", f"FAILED: {error}")], 1
    lack = describe_lack(operation)
    return ([*lines, ("worker", f"FAILED: {lack}")], NO_WORKER) if lack else (lines, 0)


def _probe_storage(settings: Settings) -> str:
    why = why_away(settings.storage)
    if why is not None:
        raise StorageAwayError(f"storage {settings.storage} on {gethostname()}: {why}")
    probe = settings.storage / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
    if lack := read_space(settings.storage).lack(settings.min_free_mb * MEGABYTE):
        raise StorageFullError(f"storage {settings.storage} on {gethostname()}: {lack}")
    return f"ok ({settings.storage}) as seen from {gethostname()}"


PROBES: dict[str, Callable[[Settings], str]] = {
    "database": _probe_database,
    "broker": _probe_broker,
    "storage": _probe_storage,
}

if __name__ == "__main__":
    app(prog_name="python -m schema")
