"""The training loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from trainer.config import RunConfig, Stage
from trainer.datasets.cache import Prepared
from trainer.datasets.splits import AnySplit
from trainer.evaluation.metrics import CalledTypes, mean
from trainer.training.augment import augment
from trainer.training.batches import Batch, Bleeds, load_batch
from trainer.training.losses import total_loss
from trainer.training.parallel import World, joined
from trainer.training.run import Run, Weights, describe
from trainer.training.sampling import draw, learned
from trainer.training.schedule import check_watched, next_epoch, rate
from trainer.training.smote import oversample
from trainer.training.synthetic.scenes import scenes
from trainer.training.validation import validate
from worker.munet.device import on
from worker.munet.network import Output

Observer = Callable[[Run], None]
ALONE = World()
HEADS = ("heads", "head", "classifier")  # the output layers of MUNet and of the U-Net


class Step(NamedTuple):
    """What one batch gave."""

    loss: float
    calls: CalledTypes


def fit(
    config: RunConfig,
    prepared: Prepared,
    split: AnySplit,
    folder: Path,
    console: Console,
    observers: Sequence[Observer] = (),
    begin: Weights = None,
) -> Run:
    """Train from where the folder's run stands to its end.

    Parameters
    ----------
    folder
        Holds the run's state after every epoch; a second call goes on after a kill.
    observers
        Each gets the run after every epoch that it has trained.
    begin
        The weights of a fresh run; random ones when there are none.

    Raises
    ------
    ConfigError
        The folder holds a run with other settings, or nobody is held out for a run that must watch.
    LeakError
        The folder's run got to know other patients.
    """
    prepared = learned(prepared, config.sampling)
    watched = [patient for patient in split.validation if patient in prepared.patients]
    check_watched(config, watched)
    prepared, rows = oversample(prepared, split.rows(prepared), config.smote, config.seed)
    with joined() as world:
        run = Run.resume(config, len(prepared), folder, world.device, begin, split)
        run.learner = world.learner(run.network)
        console = console if world.first else Console(quiet=True)
        if world.first:
            describe(folder, config, split)
        with _progress(console) as progress:
            bar = progress.add_task(config.name, total=config.epochs, completed=run.epoch)

            def tell(done: float) -> None:
                progress.update(bar, completed=done)

            while run.epoch < config.epochs:
                started = time.monotonic()
                train_epoch(run, prepared, rows, tell, world)
                if watched and world.first:
                    stage = config.stage_of(run.epoch)
                    evaluated = validate(run.average, prepared, watched, stage, config.loss)
                    run.history[-1] |= asdict(evaluated)
                run.history[-1]["seconds"] = time.monotonic() - started
                run.history[-1] = world.agreed(run.history[-1])
                run.epoch = next_epoch(config, run.history, run.epoch)
                if world.first:
                    run.save(folder)
                    console.print(_line(run))
                    for observe in observers:
                        observe(run)
    return run


def train_epoch(
    run: Run,
    prepared: Prepared,
    rows: npt.NDArray[np.intp],
    report: Callable[[float], None],
    world: World = ALONE,
) -> None:
    """Train one epoch; every random number comes from the seed and the epoch's number."""
    config, epoch = run.config, run.epoch
    stage = config.stage_of(epoch)
    rng = np.random.default_rng([config.seed, epoch])
    torch.manual_seed(int(rng.integers(2**62)) + world.rank)  # dropout
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)) + world.rank)
    chosen = draw(prepared, rows, run.hardness.numpy(), config.sampling, rng)
    cuts = range(stage.batch, len(chosen), stage.batch)
    # One slice alone has no batch statistics.
    batches = [batch for batch in np.split(chosen, cuts) if len(batch) >= 2 * world.size]
    drawn = scenes(prepared, chosen, config, epoch)
    bleeds = Bleeds(prepared, rows, config.augment.paste, rng, drawn)
    set_mode(run.network, stage)
    steps, before = [], run.hardness.clone()
    for index, batch in enumerate(batches):
        for group in run.optimiser.param_groups:
            group["lr"] = rate(config, run.history, epoch + index / len(batches))
        own = world.share(batch)
        loaded = load_batch(prepared, own, stage.size, bleeds, config.augment.mix)
        steps.append(train_step(run, own, loaded, generator, stage))
        report(epoch + (index + 1) / len(batches))
    _together(run, before, world)
    run.history.append({"epoch": epoch, **summary(steps)})


def _together(run: Run, before: Tensor, world: World) -> None:
    """Bring what each process learned for itself together: statistics and hardness."""
    world.same([*run.network.buffers(), *run.average.buffers()])
    changed = run.hardness != before
    means = world.mean(run.hardness, changed.float())
    run.hardness = torch.where(means.isnan(), before, means)


def summary(steps: Sequence[Step]) -> dict[str, float]:
    """Mean loss, and the share of slices with one type whose type was called right."""
    truth = np.concatenate([step.calls.truth for step in steps])
    called = np.concatenate([step.calls.called for step in steps])
    return {
        "loss": mean([step.loss for step in steps]),
        "accuracy": CalledTypes(truth, called).accuracy,
    }


def set_mode(network: nn.Module, stage: Stage) -> None:
    """Set the network to training; where only the heads learn, the rest keeps its statistics."""
    network.train()
    for name, part in network.named_children():
        part.train(not stage.heads_only or name in HEADS)


def freeze(network: nn.Module) -> None:
    """Drop the gradients of all but the output layers (the end of Algorithm 1)."""
    for name, value in network.named_parameters():
        if name.split(".")[0] not in HEADS:
            value.grad = None


def train_step(
    run: Run,
    rows: npt.NDArray[np.intp],
    batch: Batch,
    rng: torch.Generator,
    stage: Stage,
) -> Step:
    """Learn from one batch."""
    pictures, masks = augment(batch.pictures, batch.target.masks, run.config.augment, rng)
    device = next(run.network.parameters()).device
    target = batch.target.moved(masks).to(device)
    pictures = on(pictures, device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        masks, scores = (run.learner or run.network)(pictures)
    output = Output(tuple(mask.float() for mask in masks), scores.float())
    loss = total_loss(output, target, run.config.loss)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    if stage.heads_only:
        freeze(run.network)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    run.step += 1
    # A young average that still remembers the first random weights would hide early progress.
    run.follow(min(run.config.optimiser.average, run.step / (run.step + 10)))
    logits = output.scores.detach().cpu()
    genuine = torch.from_numpy(batch.genuine)
    run.hardness[torch.from_numpy(rows)[genuine]] = logits[:, -1].sigmoid()[genuine]
    calls = CalledTypes.of(logits.numpy(), batch.target.types.bool().numpy())
    return Step(float(loss.detach()), calls)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _line(run: Run) -> str:
    """One epoch's figures for people; the rest is in the history."""
    last = run.history[-1]
    known = {name: value for name, value in last.items() if name != "epoch" and not isnan(value)}
    figures = "  ".join(f"{name} {value:.3f}" for name, value in known.items())
    return f"epoch {run.epoch}/{run.config.epochs}  {figures}"
