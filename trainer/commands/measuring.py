"""The command that measures training patients, so that workers know who is unlike them."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from trainer.commands.options import Data, Model, console, release_of, told
from trainer.config import ConfigError
from trainer.datasets.sources import Release
from trainer.evaluation.likeness import (
    LEAST,
    Values,
    held_against,
    left_out,
    summed_up,
    with_ranges,
)
from trainer.evaluation.likeness import measure as measure_scans
from trainer.reports import likeness
from worker.munet import checkpoint
from worker.munet.card import Card
from worker.munet.checkpoint import SHIPPED
from worker.munet.ensemble import halved


def measure(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the checkpoint with its ranges goes.")],
    model: Model = SHIPPED,
) -> None:
    """Measure a checkpoint's training patients, so that workers mark series unlike them."""
    with told():
        network, card = checkpoint.read(model)
        release = release_of(data)
        scans = _measured(release, own_patients(card), "Measuring")
        training = summed_up(scans)
        if training is None:
            raise ConfigError(f"{len(scans)} heads among the training scans; {LEAST} are needed")
        checkpoint.write(out, halved(network.state_dict()), with_ranges(card, training))
        likeness.ranges(training).show(console)
        likeness.above("Training scans", left_out(scans), training.bar).show(console)
        held_out = set(card.training.get("validation_patients", ())) & set(release.patients)
        if held_out:
            others = _measured(release, sorted(held_out), "Comparing")
            held = held_against(others, training)
            likeness.above("Validation scans", held, training.bar).show(console)


def own_patients(card: Card) -> list[int]:
    """Whom a checkpoint learned from itself, without those behind the weights it began with."""
    runs = (card.training.get("config", {}), *card.training.get("recipes", ()))
    behind = {patient for run in runs for patient in run.get("lineage", {}).get("patients", ())}
    return [patient for patient in card.training.get("patients", ()) if patient not in behind]


def _measured(release: Release, patients: list[int], what: str) -> dict[int, Values]:
    measuring = measure_scans(release, patients)
    return dict(track(measuring, what, len(patients), console=console))
