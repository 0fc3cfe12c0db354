"""Command line of the trainer: each verb parses, calls one function and prints its outcome."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from trainer.ablation import TEXT as ABLATION
from trainer.ablation import ablate, named_rows, variants
from trainer.ablation import sections as ablation_sections
from trainer.ablation import to_json as ablation_json
from trainer.cache import prepare as prepare_release
from trainer.clinical import PREVALENCES
from trainer.config import ConfigError, load_config
from trainer.contact import contact_sheet, table_4
from trainer.contradictions import contradictions
from trainer.crossval import Which, crossval
from trainer.crossval_report import OPERATING, outcome
from trainer.crossval_report import sections as crossval_sections
from trainer.crossval_report import to_json as crossval_json
from trainer.ctich import DataError, Release, read_release
from trainer.curves import Curves, Scalars
from trainer.evaluate import evaluate
from trainer.evaluation_report import heading, known
from trainer.evaluation_report import sections as evaluation_sections
from trainer.fit import Observer
from trainer.fit import fit as fit_run
from trainer.gallery import Gallery
from trainer.judge import judge
from trainer.report import Files, Text, publish, write_bytes
from trainer.run import baseline, described
from trainer.ship import finished, ship
from trainer.smote import oversample
from trainer.splits import SplitError, held_patients, held_split, hold_out, judged_patients
from worker.munet.card import CLASSES
from worker.munet.errors import CheckpointError, DeviceError
from worker.munet.inference import Predictor

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
console = Console()

Data = Annotated[Path, typer.Option(help="A CT-ICH folder, 1.0.0's JPGs or 1.3.1's NIfTI.")]
Cache = Annotated[Path, typer.Option(help="Where prepared pictures are kept.")]
Patients = Annotated[str, typer.Option(help="Comma-separated patient numbers.")]
CACHE = Path("var/cache")


def numbers(text: str) -> tuple[int, ...]:
    """Read comma-separated numbers."""
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no comma-separated list of numbers") from error


@app.command()
def prepare(
    data: Data,
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "small",
    cache: Cache = CACHE,
) -> None:
    """Check a CT-ICH folder, print what it holds, name what is wrong, and write the cache."""
    with told():
        config = load_config(preset)
        release = read_release(data)
        console.print(summary(release))
        checked = track(release.slices, "Checking slices", console=console)
        for problem in chain(release.problems, contradictions(checked)):
            console.print(f"[yellow]{escape(problem)}", soft_wrap=True)
        prepared = prepare_release(release, config.preprocessing, cache)
        console.print(f"{len(prepared)} slices prepared in {cache}")


@app.command("smote")
def smote_command(
    data: Data,
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "paper",
    held_out: Patients = "",
    split: Annotated[str, typer.Option(help="paper-test: hold table 3's test patients out.")] = "",
    out: Annotated[Path, typer.Option(help="The contact sheet, PNG.")] = Path("var/smote.png"),
    cache: Cache = CACHE,
) -> None:
    """Print table 4 and draw figure 5: what SMOTE makes of the training patients."""
    with told():
        config = load_config(preset)
        release = read_release(data)
        parts = hold_out(release.patients, held_patients(numbers(held_out), split))
        prepared = prepare_release(release, config.preprocessing, cache)
        rows = prepared.where(parts.train)
        grown, _ = oversample(prepared, rows, config.smote, config.seed)
        console.print(table_4(prepared, rows, grown).printed())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        console.print(f"{peak:.2f} GiB at the peak of this process")
        write_bytes(out, contact_sheet(prepared, rows, grown, config.seed).png)
        console.print(f"{out} written")


@app.command()
def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="The run's folder; goes on where it stands.")],
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "small",
    held_out: Patients = "",
    split: Annotated[str, typer.Option(help="paper-test: hold table 3's test patients out.")] = "",
    curves: Annotated[bool, typer.Option(help="TensorBoard and figures 7 and 8.")] = True,
    cache: Cache = CACHE,
) -> None:
    """Train a network, keeping the named patients for validation."""
    with told():
        config = load_config(preset)
        release = read_release(data)
        parts = hold_out(release.patients, held_patients(numbers(held_out), split))
        prepared = prepare_release(release, config.preprocessing, cache)
        watch: tuple[Observer, ...] = ()
        if curves:
            watch = (Scalars(run / "tensorboard"), Curves(run / "figures"))
        fit_run(config, prepared, parts, run, console, watch)


@app.command("ship")
def ship_command(
    data: Data,
    run: Annotated[Path, typer.Option(help="A finished run's folder.")],
    out: Annotated[Path, typer.Option(help="The checkpoint's .safetensors.")],
    note: Annotated[str, typer.Option(help="What people should know about the run.")] = "",
    cache: Cache = CACHE,
) -> None:
    """Write a finished run as a checkpoint, thresholds and figures from its validation patients."""
    with told():
        release = read_release(data)
        prepared = prepare_release(release, described(run)[0].preprocessing, cache)
        card = ship(finished(run), prepared, release, out, note)
        console.print_json(json.dumps(card.metrics))


@app.command("evaluate")
def evaluate_command(
    data: Data,
    model: Annotated[Path, typer.Option(help="A checkpoint, either of its two files.")],
    patients: Patients = "",
    split: Annotated[str, typer.Option(help="paper-test: table 3's test patients.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="A report; its PNG files come beside it.")
    ] = None,
    prevalence: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="For PPV and NPV; may be repeated.")
    ] = None,
    device: str = "auto",
) -> None:
    """Judge a checkpoint on patients, by the paper's protocol and by the clinical one."""
    with told():
        release = read_release(data)
        chosen = judged_patients(release.patients, numbers(patients), split)
        predictor = Predictor(model, device)
        card, gallery = predictor.card, Gallery(predictor.card.preprocessing)
        judging = judge(predictor, release, chosen, gallery.see)
        studies = list(track(judging, "Judging", len(chosen), console=console))
        figures = evaluate(studies, card.name, card.sha256, prevalence or PREVALENCES)
        met = known(card, chosen)
        publish(
            evaluation_sections(figures, studies, gallery),
            heading(card, met),
            figures | asdict(met),
            Files(json_file, html_file),
            console,
        )


@app.command("crossval")
def crossval_command(
    data: Data,
    run: Annotated[Path, typer.Option(help="A folder for the folds; goes on where they stand.")],
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "small",
    count: Annotated[int, typer.Option(min=2, help="How many folds there are.")] = 5,
    folds: Annotated[str, typer.Option(help="Which folds to train now, as 0,1.")] = "",
    with_baseline: Annotated[
        bool, typer.Option("--baseline", help="Train a plain U-Net of the same budget too.")
    ] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="RUN/crossval.json")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="RUN/crossval.html")] = None,
    cache: Cache = CACHE,
) -> None:
    """Judge a preset on every patient, each by a network that never saw them."""
    with told():
        config = load_config(preset)
        release = read_release(data)
        prepared = prepare_release(release, config.preprocessing, cache)
        configs = [config, baseline(config)] if with_baseline else [config]
        which = Which(run, count, numbers(folds))
        made = outcome(config, crossval(configs, prepared, release, which, console))
        publish(
            crossval_sections(made),
            Text(f"Cross-validation of {config.name}", OPERATING),
            crossval_json(made),
            Files(json_file or run / "crossval.json", html_file or run / "crossval.html"),
            console,
        )


@app.command("ablate")
def ablate_command(
    data: Data,
    run: Annotated[Path, typer.Option(help="A folder for the runs; goes on where they stand.")],
    preset: Annotated[str, typer.Option(help="A preset's name or a TOML file.")] = "small",
    held_out: Annotated[str, typer.Option(help="Patients to judge on; a fifth by default.")] = "",
    split: Annotated[str, typer.Option(help="paper-test: table 3's test patients.")] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs a row; 0 is the preset's.")] = 0,
    rows: Annotated[str, typer.Option(help="Which rows, as smote,fpn; all by default.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="RUN/ablate.json")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="RUN/ablate.html")] = None,
    cache: Cache = CACHE,
) -> None:
    """Print table 8: SMOTE and FPN on and off, gray against neighbours, CLAHE on and off."""
    with told():
        config = load_config(preset)
        config = config.shortened(epochs) if epochs else config
        release = read_release(data)
        prepared = prepare_release(release, config.preprocessing, cache)
        parts = held_split(prepared, numbers(held_out), split, config.seed)
        chosen = named_rows(variants(config), rows)
        made = ablate(chosen, release, parts, run, cache, console)
        publish(
            ablation_sections(made),
            Text(f"Ablation of {config.name}", ABLATION),
            ablation_json(made, parts),
            Files(json_file or run / "ablate.json", html_file or run / "ablate.html"),
            console,
        )


def summary(release: Release) -> Table:
    """Patients and slices by type."""
    table = Table("", "patients", "slices")
    healthy = [p for p in release.patients if not any(s.positive for s in release.of(p))]
    table.add_row("all", str(len(release.patients)), str(len(release.slices)))
    table.add_row("healthy", str(len(healthy)), str(sum(len(release.of(p)) for p in healthy)))
    for index, name in enumerate(CLASSES):
        found = [s.patient for s in release.slices if s.types[index]]
        table.add_row(name, str(len(set(found))), str(len(found)))
    mixed = [s.patient for s in release.slices if sum(s.types) > 1]
    table.add_row("several types", str(len(set(mixed))), str(len(mixed)))
    return table


@contextmanager
def told() -> Iterator[None]:
    """Turn what a person can put right into one line and an exit code."""
    try:
        yield
    except (ConfigError, DataError, SplitError, CheckpointError, DeviceError) as error:
        console.print(f"[red]{error}", soft_wrap=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        console.print("Stopped. The same command goes on from the last finished epoch.")
        raise typer.Exit(130) from error


@app.callback()
def _main() -> None:
    """Train and judge MUNet on CT-ICH."""
