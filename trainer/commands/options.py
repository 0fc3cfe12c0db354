"""What the commands of the command line share: options, and how an error is told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from trainer.config import ConfigError, load_config
from trainer.datasets.people import person_number
from trainer.datasets.sources import DataError, Release, read_release
from trainer.datasets.splits import SplitError, held_here
from trainer.evaluation.perturb import CHANGES
from trainer.experiments.unseen import Reading
from worker.munet.errors import CheckpointError, DeviceError
from worker.munet.preprocessing import Preprocessing

console = Console(markup=False)  # what is in brackets is a name, as in run[2]

Model = Annotated[Path, typer.Option(help="A checkpoint, either file; else the shipped one.")]
Data = Annotated[
    list[Path],
    typer.Option(
        help="A folder of CT-ICH, BHSD, NIfTI with a dataset.toml, or DICOM; may be repeated."
    ),
]
Cache = Annotated[Path, typer.Option(help="Where prepared pictures are kept.")]
Preset = Annotated[str, typer.Option(help="A preset's name or a TOML file.")]
Patients = Annotated[
    str, typer.Option(help="Comma-separated patients: numbers, or SOURCE/NAME as BHSD/ID_0a1b2c3d.")
]
ReadAs = Annotated[
    str, typer.Option("--reading", help="The preset whose preprocessing feeds the networks.")
]
Changed = Annotated[
    str,
    typer.Option(
        "--changed", help="Changes of each head that thresholds must hold for: all, or a;b;c."
    ),
]
Cut = Annotated[
    int,
    typer.Option(
        "--cut", help="Another cut into folds; releases before 0.2.0 cut by the preset's seed."
    ),
]
Without = Annotated[
    str,
    typer.Option(
        help="Patients neither learned from nor evaluated, as 55,60; paper-test: table 3's too."
    ),
]
EPOCHS = "The same command goes on from the last finished epoch."
ANSWERS = "The same command goes on: what was answered is kept beside the folds."
HELD_SPLIT = "paper-test: hold table 3's test patients out, beside those who are named."
CACHE = Path("var/cache")


def release_of(data: Sequence[Path]) -> Release:
    """Read what --data names; that something was left out is said, `prepare` says what."""
    release = read_release(data)
    if release.problems:
        words = f"problems with these data: {len(release.problems)}; prepare names them"
        console.print(words, style="yellow", soft_wrap=True)
    return release


def left_out(release: Release, text: str) -> tuple[int, ...]:
    """Return the scans that --without names, by number, as SOURCE/NAME, or as paper-test.

    Raises
    ------
    SplitError
        Somebody of them is not here: who is left out by a misspelt name is learned from.
    """
    names = [name.strip() for name in text.split(",")]
    named = numbers(",".join(name for name in names if name != "paper-test"))
    split = "paper-test" if "paper-test" in names else ""
    return held_here(release.patients, named, split)


def numbers(text: str) -> tuple[int, ...]:
    """Read comma-separated numbers; SOURCE/NAME is the number of that source's patient."""
    try:
        return tuple(_number(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no comma-separated list of numbers") from error


def how(preset: str, trained: Preprocessing, changed: str) -> Reading:
    """Read how networks are fed and about which changes they are asked."""
    named = tuple(name.strip() for name in changed.split(";") if name.strip())
    names = tuple(CHANGES) if named == ("all",) else named
    if unknown := sorted(set(names) - set(CHANGES)):
        raise typer.BadParameter(f"{unknown} are not among {'; '.join(CHANGES)}")
    return Reading(load_config(preset).preprocessing if preset else trained, names)


def _number(text: str) -> int:
    source, is_name, name = text.partition("/")
    return person_number(source, name) if is_name else int(text)


@contextmanager
def told(kept: str = "Nothing is kept.") -> Iterator[None]:
    """Turn what a person can put right into one line and an exit code.

    Parameters
    ----------
    kept
        What a command that is stopped leaves behind.
    """
    try:
        yield
    except (ConfigError, DataError, SplitError, CheckpointError, DeviceError, OSError) as error:
        console.print(str(error), style="red", soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        console.print(f"Stopped. {kept}", soft_wrap=True)
        raise typer.Exit(130) from error
