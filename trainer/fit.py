"""The training loop."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from trainer.augment import augment
from trainer.batches import Batch, Bleeds, load_batch
from trainer.cache import Prepared
from trainer.config import Optimiser, RunConfig
from trainer.losses import Target, total_loss
from trainer.run import Run, describe
from trainer.sampling import draw
from trainer.smote import oversample
from trainer.splits import Split
from trainer.validation import validate

WARM_UP = 0.03  # of a cosine run: batch statistics settle before the full rate


def fit(config: RunConfig, prepared: Prepared, split: Split, folder: Path, console: Console) -> Run:
    """Train from where the folder's run stands to its end.

    Parameters
    ----------
    folder
        Holds the run's state after every epoch; a second call goes on after a kill.

    Raises
    ------
    ConfigError
        The folder holds a run with other settings.
    """
    prepared, rows = oversample(prepared, prepared.where(split.train), config.smote, config.seed)
    run = Run.resume(config, len(prepared), folder)
    describe(folder, config, split)
    with _progress(console) as progress:
        bar = progress.add_task(config.name, total=config.epochs, completed=run.epoch)
        while run.epoch < config.epochs:
            started = time.monotonic()
            train_epoch(run, prepared, rows, lambda done: progress.update(bar, completed=done))
            if split.validation:
                size = config.stage_of(run.epoch).size
                run.history[-1] |= asdict(validate(run.average, prepared, split.validation, size))
            run.history[-1]["seconds"] = time.monotonic() - started
            run.epoch += 1
            run.save(folder)
            console.print(_line(run))
    return run


def train_epoch(
    run: Run,
    prepared: Prepared,
    rows: npt.NDArray[np.intp],
    report: Callable[[float], None],
) -> None:
    """Train one epoch; every random number comes from the seed and the epoch's number."""
    config, epoch = run.config, run.epoch
    stage = config.stage_of(epoch)
    rng = np.random.default_rng([config.seed, epoch])
    torch.manual_seed(int(rng.integers(2**62)))  # dropout
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    chosen = draw(prepared, rows, run.hardness.numpy(), config.sampling, rng)
    cuts = range(stage.batch, len(chosen), stage.batch)
    batches = [batch for batch in np.split(chosen, cuts) if len(batch) > 1]  # one has no statistics
    bleeds = Bleeds(prepared, rows, config.augment.paste, rng)
    run.network.train()
    losses = []
    for index, batch in enumerate(batches):
        for group in run.optimiser.param_groups:
            group["lr"] = rate(config, run.history, epoch + index / len(batches))
        loaded = load_batch(prepared, batch, stage.size, bleeds)
        losses.append(train_step(run, batch, loaded, generator))
        report(epoch + (index + 1) / len(batches))
    run.history.append({"epoch": epoch, "loss": float(np.mean(losses))})


def train_step(run: Run, rows: npt.NDArray[np.intp], batch: Batch, rng: torch.Generator) -> float:
    """Learn from one batch; return its loss."""
    pictures, mask = augment(batch.pictures, batch.target.mask, run.config.augment, rng)
    output = run.network(pictures.contiguous(memory_format=torch.channels_last))
    loss = total_loss(output, Target(mask, batch.target.types), run.config.loss)
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    run.step += 1
    # A young average that still remembers the first random weights would hide early progress.
    run.follow(min(run.config.optimiser.average, run.step / (run.step + 10)))
    scores = output.scores[:, -1].detach().sigmoid()
    run.hardness[torch.from_numpy(rows[batch.genuine])] = scores[torch.from_numpy(batch.genuine)]
    return float(loss.detach())


def rate(config: RunConfig, history: list[dict[str, float]], epoch: float) -> float:
    """Return the learning rate at a moment of the run, from what is known then."""
    settings = config.optimiser
    if settings.schedule == "plateau":
        return settings.rate * 0.5 ** halvings([1 - h["dice"] for h in history], settings)
    done = epoch / config.epochs
    warm = min(1.0, (done + 1e-3) / WARM_UP)
    return settings.rate * warm * (0.5 + 0.5 * math.cos(math.pi * done)) + settings.rate * 1e-2


def halvings(losses: list[float], settings: Optimiser) -> int:
    """How often the rate was halved: each time `patience` epochs went by without a better loss."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == settings.patience:
            count, waited = count + 1, 0
    return count


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console
    )


def _line(run: Run) -> str:
    """One epoch's figures for people; the rest is in the history."""
    last = run.history[-1]
    figures = "  ".join(f"{name} {value:.3f}" for name, value in last.items() if name != "epoch")
    return f"epoch {run.epoch}/{run.config.epochs}  {figures}"
