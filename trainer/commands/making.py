"""Commands that make something: a cache, synthetic slices, a network, a checkpoint."""

import json
import resource
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from trainer.commands.options import (
    ANSWERS,
    CACHE,
    EPOCHS,
    HELD_SPLIT,
    Cache,
    Changed,
    Data,
    Model,
    Patients,
    Preset,
    ReadAs,
    Without,
    console,
    how,
    left_out,
    numbers,
    release_of,
    told,
)
from trainer.config import RunConfig, load_config
from trainer.datasets.cache import Prepared
from trainer.datasets.cache import prepare as prepare_release
from trainer.datasets.contradictions import contradictions
from trainer.datasets.sources import read_release
from trainer.datasets.splits import Split, held_here, hold_out
from trainer.experiments import export as exporting
from trainer.experiments import ship as shipping
from trainer.experiments import site
from trainer.experiments.begin import beginning
from trainer.experiments.recipes import folds_in
from trainer.experiments.verdicts import read_verdicts
from trainer.reports.contact import contact_sheet, table_4
from trainer.reports.contents import by_source, summary
from trainer.reports.curves import Curves, Scalars
from trainer.reports.document import write_bytes
from trainer.training.fit import Observer
from trainer.training.fit import fit as fit_run
from trainer.training.smote import oversample
from worker.munet import checkpoint
from worker.munet.checkpoint import SHIPPED
from worker.munet.ensemble import halved


def prepare(
    data: Data,
    preset: Preset = "best",
    cache: Cache = CACHE,
) -> None:
    """Check folders of scans, print what each holds, name what is wrong, and write the cache."""
    with told():
        config = load_config(preset)
        release = read_release(data)
        for table in (by_source(release), summary(release)):
            table.show(console)
        checked = track(release.slices, "Checking slices", console=console)
        for problem in chain(release.problems, contradictions(checked)):
            console.print(problem, style="yellow", soft_wrap=True)
        prepared = prepare_release(release, config.preprocessing, cache)
        console.print(f"{len(prepared)} slices prepared in {cache}")


def smote(
    data: Data,
    preset: Preset = "paper",
    held_out: Patients = "",
    split: Annotated[str, typer.Option(help=HELD_SPLIT)] = "",
    out: Annotated[Path, typer.Option(help="The contact sheet, PNG.")] = Path("var/smote.png"),
    cache: Cache = CACHE,
) -> None:
    """Print table 4 and draw figure 5: what SMOTE makes of the training patients."""
    with told():
        config, prepared, parts = prepared_split(data, preset, held_out, split, cache)
        rows = prepared.where(parts.train)
        grown, _ = oversample(prepared, rows, config.smote, config.seed)
        table_4(prepared, rows, grown).show(console)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        console.print(f"{peak:.2f} GiB at the peak of this process")
        write_bytes(out, contact_sheet(prepared, rows, grown, config.seed).png)
        console.print(f"{out} written")


def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="The run's folder; goes on where it stands.")],
    preset: Preset = "best",
    held_out: Patients = "",
    split: Annotated[str, typer.Option(help=HELD_SPLIT)] = "",
    begin: Annotated[
        Path | None, typer.Option("--from", help="A checkpoint whose weights it begins with.")
    ] = None,
    curves: Annotated[bool, typer.Option(help="TensorBoard and figures 7 and 8.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Another run of the same preset.")] = 0,
    cache: Cache = CACHE,
) -> None:
    """Train a network, keeping the named patients for validation."""
    with told(EPOCHS):
        config, prepared, parts = prepared_split(data, preset, held_out, split, cache)
        config, weights = beginning(replace(config, seed=seed or config.seed), parts, begin)
        watch: tuple[Observer, ...] = ()
        if curves:
            watch = (Scalars(run / "tensorboard"), Curves(run / "figures"))
        fit_run(config, prepared, parts, run, console, watch, weights)


def export(
    data: Data,
    run: Annotated[list[Path], typer.Option(help="A finished run's folder; several are averaged.")],
    out: Annotated[Path, typer.Option(help="The checkpoint's .safetensors.")],
    note: Annotated[str, typer.Option(help="What people should know about the run.")] = "",
) -> None:
    """Write a finished run as a checkpoint, thresholds and figures from its validation patients."""
    with told():
        runs = [exporting.finished(folder) for folder in run]
        card = exporting.export(runs, release_of(data), out, note)
        console.print_json(json.dumps(card.metrics))


def ship(
    data: Data,
    run: Annotated[
        list[Path],
        typer.Option(help="A finished cross-validation's folder; several recipes are averaged."),
    ],
    out: Annotated[Path, typer.Option(help="The checkpoint's .safetensors.")],
    reading: ReadAs = "",
    changed: Changed = "",
    members: Annotated[int, typer.Option(min=1, help="How many folds' networks it averages.")] = 4,
    without: Without = "",
) -> None:
    """Average the folds of a cross-validation; thresholds from whom each never saw."""
    with told(ANSWERS):
        release = release_of(data)
        release = release.without(left_out(release, without))
        read = how(reading, folds_in(run[0])[0].config.preprocessing, changed)
        card = shipping.ship(run, release, read, members, out)
        console.print_json(json.dumps(card.metrics))


def calibrate(
    verdicts: Annotated[
        Path,
        typer.Option(
            help="What `python -m worklist verdicts` printed, or a table of probability and bleeds."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where the checkpoint with new thresholds goes.")],
    model: Model = SHIPPED,
) -> None:
    """Choose the study thresholds on a site's own agreed studies; nothing else changes."""
    with told():
        network, card = checkpoint.read(model)
        made = site.calibrated(card, read_verdicts(verdicts, card.sha256))
        checkpoint.write(out, halved(network.state_dict()), made)
        console.print_json(json.dumps(made.training["site"]))
        for line in site.told(made.training["site"]):
            console.print(line, soft_wrap=True)


def prepared_split(
    data: list[Path], preset: str, held_out: str, split: str, cache: Path
) -> tuple[RunConfig, Prepared, Split]:
    """Read a preset and a release, and keep the named patients out of training."""
    config = load_config(preset)
    release = release_of(data)
    held = held_here(release.patients, numbers(held_out), split)
    parts = hold_out(release.patients, held)
    return config, prepare_release(release, config.preprocessing, cache), parts
