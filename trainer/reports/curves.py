"""What a training run shows of itself: figures 7 and 8, and TensorBoard's scalars.

Observers of the loop: they read a run after its epoch and change nothing.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from torch.utils.tensorboard import SummaryWriter

from trainer.reports.document import Figure, write_bytes
from trainer.reports.figures import canvas, png
from trainer.training.run import Run

History = Sequence[dict[str, float]]


class Scalars:
    """Write each epoch's figures for TensorBoard.

    A run that goes on after a kill drops what was written of epochs that were lost with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, run: Run) -> None:
        """Write the last epoch."""
        last = run.history[-1]
        epoch = int(last["epoch"])
        with SummaryWriter(str(self.folder), purge_step=epoch) as writer:
            for name, value in last.items():
                if name != "epoch" and not math.isnan(value):
                    writer.add_scalar(name, value, epoch)


class Curves:
    """Draw figures 7 and 8 anew, so that a run that is stopped has those of what it trained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, run: Run) -> None:
        """Draw all epochs so far."""
        for figure in (accuracy_and_loss(run.history), sensitivity_and_specificity(run.history)):
            write_bytes(self.folder / f"{figure.name}.png", figure.png)


def accuracy_and_loss(history: History) -> Figure:
    """Figure 7. Accuracy is of types; 1 - Dice of any bleed has an axis of its own."""
    made, (left, middle, right) = canvas(12, 3.4, 3)
    line(left, history, "accuracy", "training")
    line(left, history, "type_accuracy", "validation")
    left.set_ylabel("accuracy of types")
    left.set_ylim(0, 1.02)
    line(middle, history, "loss", "training")
    line(middle, history, "validation_loss", "validation, finest branch")
    middle.set_ylabel("loss")
    distance = [{**h, "distance": 1 - h["dice"]} for h in history if "dice" in h]
    line(right, distance, "distance", "validation")
    right.set_ylabel("1 - Dice")
    right.set_ylim(0, 1.02)
    return png(made, "figure-07", "Figure 7. Accuracy and loss by epoch.")


def sensitivity_and_specificity(history: History) -> Figure:
    """Figure 8. Any hemorrhage by slice of validation patients at 0.5."""
    made, (axes,) = canvas(5, 3.4)
    for name in ("sensitivity", "specificity"):
        line(axes, history, name, name)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("validation, by slice at 0.5")
    return png(made, "figure-08", "Figure 8. Sensitivity against specificity by epoch.")


def line(axes: Axes, history: History, name: str, label: str) -> None:
    """Draw one figure over the epochs that can tell it; none without patients to watch."""
    known = [(h["epoch"] + 1, h[name]) for h in history if not math.isnan(h.get(name, math.nan))]
    if known:
        epochs, values = zip(*known, strict=True)
        axes.plot(epochs, values, label=label, marker="." if len(known) < 20 else "")
        axes.set_xlabel("epoch")
        axes.legend(fontsize=8)
