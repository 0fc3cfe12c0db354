"""`python -m schema`: migrate the database, check the parts, run the private Redis."""

import os
from collections.abc import Callable

import typer
from rich.console import Console

from schema import broker, database
from schema.errors import TriageError
from schema.settings import Settings, make_home, settings_or_exit, stop

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it prints locals, and a local may be a patient's
    help=__doc__,
)


@app.command()
def upgrade() -> None:
    """Bring the database to the newest migration."""
    try:
        database.upgrade(settings_or_exit())
    except TriageError as error:
        stop(error)


@app.command()
def check() -> None:
    """Say whether database, broker and storage answer; exit 1 if one does not."""
    settings = settings_or_exit()
    console = Console(highlight=False, markup=False)
    failed = False
    for name, probe in PROBES.items():
        try:
            answer = probe(settings)
        except (TriageError, OSError) as error:
            answer, failed = f"FAILED: {error}", True
        console.print(f"{name:<10}{answer}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


@app.command(name="broker")
def run_broker() -> None:
    """Run the private Redis of the embedded default in the foreground."""
    settings = settings_or_exit()
    make_home(settings)
    raise typer.Exit(broker.keep_broker(settings))


def _probe_database(settings: Settings) -> str:
    opened = database.connect(settings)
    database.require_fit(opened)
    found = database.standing(opened)
    return "ok" if found is database.Standing.CURRENT else f"ok ({found.value})"


def _probe_broker(settings: Settings) -> str:
    broker.ping(settings)
    return "ok"


def _probe_storage(settings: Settings) -> str:
    settings.storage.mkdir(parents=True, exist_ok=True)
    probe = settings.storage / f".probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
    return f"ok ({settings.storage})"


PROBES: dict[str, Callable[[Settings], str]] = {
    "database": _probe_database,
    "broker": _probe_broker,
    "storage": _probe_storage,
}

if __name__ == "__main__":
    app(prog_name="python -m schema")
