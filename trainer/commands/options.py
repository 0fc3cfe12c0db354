"""What the commands of the command line share: options, and how an error is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.config import ConfigError
from trainer.datasets.ctich import DataError
from trainer.datasets.splits import SplitError
from worker.munet.errors import CheckpointError, DeviceError

console = Console()

Data = Annotated[Path, typer.Option(help="A CT-ICH folder, 1.0.0's JPGs or 1.3.1's NIfTI.")]
Cache = Annotated[Path, typer.Option(help="Where prepared pictures are kept.")]
Preset = Annotated[str, typer.Option(help="A preset's name or a TOML file.")]
Patients = Annotated[str, typer.Option(help="Comma-separated patient numbers.")]
CACHE = Path("var/cache")


def numbers(text: str) -> tuple[int, ...]:
    """Read comma-separated numbers."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no comma-separated list of numbers") from error


@contextmanager
def told() -> Iterator[None]:
    """Turn what a person can put right into one line and an exit code."""
    try:
        yield
    except (ConfigError, DataError, SplitError, CheckpointError, DeviceError) as error:
        console.print(str(error), style="red", soft_wrap=True, markup=False)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        console.print("Stopped. The same command goes on from the last finished epoch.")
        raise typer.Exit(130) from error
