"""`python -m worker deliver`: what waits, send again, hold, let go, drop, and test one."""

import json
import os
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from schema.database import Database, open_database
from schema.errors import TriageError
from schema.extras import of_extra
from schema.log import set_up_log
from schema.settings import Settings, settings_or_exit, stop
from schema.storage import own_name
from worker.delivery import breaker, dropping, listing
from worker.delivery.destinations import Destinations, load_destinations

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
T = TypeVar("T")
Name = Annotated[str, typer.Argument(help="As in the file of TRIAGE_DESTINATIONS.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback(invoke_without_command=True)
def deliver(
    context: typer.Context,
    pending: Annotated[bool, typer.Option("--pending", help="List what is not over.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how each destination does; with --pending, every delivery that waits or failed."""
    if context.invoked_subcommand is not None:
        return
    settings, places, database = _open()
    found = _or_stop(lambda: listing.read(database, _names(places), pending=pending))
    if as_json:
        typer.echo(json.dumps(listing.as_json(found), indent=2))
    else:
        _print(found)
        if settings.destinations is None:
            typer.echo("TRIAGE_DESTINATIONS is unset here; a delivery host knows what it names")


@app.command()
def replay(
    destination: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    study: Annotated[str | None, typer.Option(help="Only this Study Instance UID.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what was delivered, not only what failed or waits.")
    ] = False,
) -> None:
    """Send again what failed, or was delivered once; what waits for its next try is due at once."""
    settings, places, database = _open()
    _or_stop(lambda: dropping.require_file(settings))
    # Not to one that was: nobody sends there, and it would be late for ever.
    chosen = _names(places) if destination is None else (destination,)
    if destination is not None:
        _or_stop(lambda: places.named(destination))
    count = _or_stop(
        lambda: listing.replay(
            database, destinations=chosen, study_uid=study, everything=everything
        )
    )
    typer.echo(f"{count} deliveries are due again")


@app.command()
def hold(destination: Name) -> None:
    """Send nothing to a destination until it is released; nothing is lost."""
    _set_held(destination, held=True)


@app.command()
def release(destination: Name) -> None:
    """Let a destination go that was held, or that failed a moment ago."""
    _set_held(destination, held=False)


@app.command()
def drop(destination: Name) -> None:
    """End what is owed to a destination that was taken out of the file; it is never sent."""
    settings, places, database = _open()
    set_up_log(settings)
    _or_stop(lambda: dropping.require_gone(settings, places, destination))
    count = _or_stop(lambda: dropping.drop(database, destination, _who()))
    typer.echo(f"{count} deliveries to {destination} are dropped")


@app.command(name="test")
def test_destination(destination: Name) -> None:
    """Talk to a destination without sending a result; say what fails and what to do."""
    with of_extra("deliver"):  # loads DICOM and HTTP
        from worker.delivery.probing import probe

    settings, places, _ = _open()
    findings = _or_stop(lambda: probe(places.named(destination), settings))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.is_good else 'FAIL'}  {finding.text}")
    if not all(finding.is_good for finding in findings):
        raise typer.Exit(1)


def _set_held(name: str, *, held: bool) -> None:
    _, places, database = _open()
    _or_stop(lambda: places.named(name))
    _or_stop(lambda: breaker.set_held(database, name, held=held))
    typer.echo(f"{name} is {'held' if held else 'released'}")


def _open() -> tuple[Settings, Destinations, Database]:
    settings = settings_or_exit()
    places = _or_stop(lambda: load_destinations(settings.destinations))
    return settings, places, _or_stop(lambda: open_database(settings))


def _who() -> str:
    """Name the person, as far as the host knows; most run this as the service's user."""
    return os.environ.get("SUDO_USER") or own_name()


def _names(places: Destinations) -> tuple[str, ...]:
    return tuple(destination.name for destination in places.destinations)


def _or_stop(action: Callable[[], T]) -> T:
    try:
        return action()
    except TriageError as error:
        stop(error)


def _print(found: listing.Outbox) -> None:
    console = Console(width=None if Console().is_terminal else 160)
    table = Table("Destination", "Deliveries", "Oldest open", "State", "Last error", box=None)
    for standing in found.standings:
        counts = ", ".join(f"{count} {state}" for state, count in standing.counts.items()) or "none"
        table.add_row(
            standing.name,
            counts,
            f"{standing.oldest_s:.0f} s",
            standing.condition,
            standing.last_error or "",
        )
    console.print(table)
    if found.pending:
        rows = Table("Destination", "Kind", "Study", "State", "Tries", "Reason", box=None)
        for row in found.pending:
            cells = (row.destination, row.kind, row.study_instance_uid, row.state)
            rows.add_row(*cells, str(row.attempts), row.last_error or "")
        console.print(rows)
