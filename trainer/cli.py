"""Command line of the trainer: each verb parses, calls one function and prints its outcome."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.cache import prepare as prepare_release
from trainer.config import ConfigError, load_config
from trainer.ctich import DataError, read_release
from trainer.fit import fit as fit_run
from trainer.splits import LeakError, hold_out

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()

Data = Annotated[Path, typer.Option(help="A CT-ICH folder.")]
Cache = Annotated[Path, typer.Option(help="Where prepared pictures are kept.")]
Patients = Annotated[str, typer.Option(help="Comma-separated patient numbers.")]
CACHE = Path("var/cache")


def numbers(text: str) -> tuple[int, ...]:
    """Read comma-separated patient numbers."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no comma-separated list of patients") from error


@app.command()
def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="The run's folder; goes on where it stands.")],
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "small",
    held_out: Patients = "",
    cache: Cache = CACHE,
) -> None:
    """Train a network, keeping the named patients for validation."""
    try:
        config = load_config(preset)
        release = read_release(data)
        split = hold_out(release.patients, numbers(held_out))
        prepared = prepare_release(release, config.preprocessing, cache)
        fit_run(config, prepared, split, run, console)
    except (ConfigError, DataError, LeakError) as error:
        console.print(f"[red]{error}", soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        console.print(f"Stopped; the same command goes on from the last epoch in {run}.")
        raise typer.Exit(130) from error


@app.callback()
def _main() -> None:
    """Train and judge MUNet on CT-ICH."""
