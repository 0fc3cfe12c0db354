"""Commands that evaluate: a checkpoint, a preset, a choice."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from trainer.commands.options import (
    CACHE,
    EPOCHS,
    HELD_SPLIT,
    Cache,
    Changed,
    Cut,
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
from trainer.config import ConfigError, load_config
from trainer.datasets.cache import prepare as prepare_release
from trainer.datasets.splits import evaluated_patients, held_split
from trainer.evaluation.clinical import PREVALENCES
from trainer.evaluation.evaluate import evaluate as figures_of
from trainer.evaluation.gallery import Gallery
from trainer.evaluation.perturb import perturbed, to_json
from trainer.evaluation.studies import predict_studies
from trainer.experiments import ablation, ablation_report, crossval_report, leak_report
from trainer.experiments import crossval as folds_of
from trainer.experiments import leak as leaking
from trainer.experiments.recipes import folds_in, name_of
from trainer.reports import evaluation_report, robustness
from trainer.reports.document import Files, Text, publish
from trainer.training.run import baseline
from worker.munet.checkpoint import SHIPPED
from worker.munet.inference import Predictor


def evaluate(
    data: Data,
    model: Model = SHIPPED,
    patients: Patients = "",
    split: Annotated[
        str, typer.Option(help="paper-test: table 3's test patients, beside those who are named.")
    ] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="A report; its PNG files come beside it.")
    ] = None,
    prevalence: Annotated[
        list[float] | None, typer.Option(min=0, max=1, help="For PPV and NPV; may be repeated.")
    ] = None,
    perturb: Annotated[
        bool, typer.Option("--perturb", help="Change each head in many ways; count what turns.")
    ] = False,
    device: str = "auto",
) -> None:
    """Evaluate a checkpoint on patients, by the paper's protocol and by the clinical one."""
    with told():
        release = release_of(data)
        chosen = evaluated_patients(release.patients, numbers(patients), split)
        predictor = Predictor(model, device)
        card, gallery = predictor.card, Gallery(predictor.card.preprocessing)
        evaluating = predict_studies(predictor, release, chosen, gallery.see)
        studies = list(track(evaluating, "Evaluating", len(chosen), console=console))
        figures = figures_of(studies, card.name, card.sha256, prevalence or PREVALENCES)
        met = evaluation_report.known(card, chosen)
        sections = evaluation_report.sections(figures, studies, gallery)
        if perturb:
            changing = perturbed(predictor, release, chosen)
            asked = list(track(changing, "Changing", len(chosen), console=console))
            sections.append(robustness.section(asked))
            figures |= {"perturbed": to_json(asked)}
        publish(
            sections,
            evaluation_report.heading(card, met),
            figures | asdict(met),
            Files(json_file, html_file),
            console,
        )


def crossval(
    data: Data,
    run: Annotated[Path, typer.Option(help="A folder for the folds; goes on where they stand.")],
    preset: Preset = "best",
    count: Annotated[int, typer.Option(min=2, help="How many folds there are.")] = 5,
    folds: Annotated[str, typer.Option(help="Which folds to train now, as 0,1.")] = "",
    cut: Cut = 0,
    without: Without = "",
    with_baseline: Annotated[
        bool, typer.Option("--baseline", help="Train a plain U-Net of the same budget too.")
    ] = False,
    before: Annotated[
        Path | None, typer.Option("--from", help="Another RUN whose networks these begin with.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        typer.Option("--with", help="A finished RUN of another recipe; their mean is evaluated."),
    ] = None,
    reading: ReadAs = "",
    changed: Changed = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="RUN/crossval.json")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="RUN/crossval.html")] = None,
    cache: Cache = CACHE,
) -> None:
    """Evaluate a preset on every patient, each by a network that never saw them."""
    with told(EPOCHS):
        config = load_config(preset)
        if with_baseline and others:
            raise ConfigError("--baseline stands beside one recipe, --with makes a mean of several")
        release = release_of(data)
        gone = left_out(release, without)
        release = release.without(gone)
        prepared = prepare_release(release, config.preprocessing, cache)
        configs = [config, baseline(config)] if with_baseline else [config]
        which = folds_of.Which(run, count, numbers(folds), before, tuple(others or ()), cut, gone)
        read = how(reading, config.preprocessing, changed)
        gallery = Gallery(read.preprocessing)
        judged = folds_of.crossval(configs, prepared, release, which, console, read, gallery.see)
        names = [config.name, *(name_of(folds_in(other)[0].config) for other in which.others)]
        made = crossval_report.outcome(replace(config, name="-".join(names)), judged)
        publish(
            crossval_report.sections(made, gallery),
            Text(f"Cross-validation of {' and '.join(names)}", crossval_report.OPERATING),
            crossval_report.to_json(made) | {"without": list(gone)},
            Files(json_file or run / "crossval.json", html_file or run / "crossval.html"),
            console,
        )


def ablate(
    data: Data,
    run: Annotated[Path, typer.Option(help="A folder for the runs; goes on where they stand.")],
    preset: Preset = "best",
    held_out: Annotated[str, typer.Option(help="Patients held out; a fifth by default.")] = "",
    split: Annotated[str, typer.Option(help=HELD_SPLIT)] = "",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs a row; 0 is the preset's.")] = 0,
    rows: Annotated[str, typer.Option(help="Which rows, as smote,fpn; all by default.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="RUN/ablate.json")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="RUN/ablate.html")] = None,
    cache: Cache = CACHE,
) -> None:
    """Print table 8: SMOTE and FPN on and off, gray against neighbours, CLAHE on and off."""
    with told(EPOCHS):
        config = load_config(preset)
        config = config.shortened(epochs) if epochs else config
        release = release_of(data)
        prepared = prepare_release(release, config.preprocessing, cache)
        parts = held_split(prepared, numbers(held_out), split, config.seed)
        chosen = ablation.named_rows(ablation.variants(config), rows)
        made = ablation.ablate(chosen, release, parts, run, cache, console)
        apart = ablation_report.against(made)
        publish(
            ablation_report.sections(made, apart),
            Text(f"Ablation of {config.name}", ablation_report.TEXT),
            ablation_report.to_json(made, apart, parts),
            Files(json_file or run / "ablate.json", html_file or run / "ablate.html"),
            console,
        )


def leak(
    data: Data,
    run: Annotated[Path, typer.Option(help="A folder for the runs; goes on where they stand.")],
    preset: Preset = "leak",
    count: Annotated[int, typer.Option(min=2, help="How many folds there are.")] = 5,
    folds: Annotated[str, typer.Option(help="Which folds to train now, as 0,1.")] = "",
    cut: Cut = 0,
    without: Without = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="RUN/LEAKING.json")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="RUN/LEAKING.html")] = None,
    cache: Cache = CACHE,
) -> None:
    """LEAKING on purpose: split by slice beside the same by patient, to show what it feigns."""
    console.print(leak_report.WARNING, style="red", soft_wrap=True)
    with told(EPOCHS):
        config = load_config(preset)
        release = release_of(data)
        gone = left_out(release, without)
        prepared = prepare_release(release.without(gone), config.preprocessing, cache)
        which = folds_of.Which(run, count, numbers(folds), cut=cut, without=gone)
        arms = leaking.leak(config, prepared, which, console)
        publish(
            leak_report.sections(arms),
            leak_report.text(config),
            leak_report.to_json(config, arms) | {"without": list(gone)},
            Files(json_file or run / "LEAKING.json", html_file or run / "LEAKING.html"),
            console,
        )
