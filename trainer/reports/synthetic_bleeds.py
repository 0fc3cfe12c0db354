"""Drawn bleeds to look at before training on them: how many, how large, how dense, how long."""

from collections.abc import Sequence

import matplotlib.figure
import numpy as np

from trainer.config import ConfigError
from trainer.reports.document import Figure, Table
from trainer.reports.figures import BLOOD, panel, png
from trainer.training.synthetic.trial import Trial, Tried
from worker.munet.card import CLASSES
from worker.munet.preprocessing import Preprocessing, window

COLUMNS = 6  # heads of a type on the sheet
SIDE = 1.9  # inches of one picture
DIM_HU = 40.0  # hardly brighter than brain


def measures(heads: Sequence[Tried]) -> Table:
    """Count, volume, density and seconds of each type's bleeds."""
    head = ("type", "drawn", "no room", "mL, median (range)", "HU, median (range)", "dim", "s each")
    lines = tuple(_line(name, _of(heads, name)) for name in CLASSES)
    closed = [tried for tried in heads if tried.closed]
    seconds = np.mean([tried.seconds for tried in heads])
    note = (
        f"{len(closed)} of {len(heads)} heads have a closed skull, in"
        f" {sum(h.closed for h in heads)} of {sum(h.slices for h in heads)} slices; to look at one"
        f" takes {seconds:.2f} s of a core. Dim: below {DIM_HU:.0f} HU. HU are of the blood alone,"
        " before its edges are mixed with what lies beside."
    )
    return Table("Drawn bleeds", head, lines, note)


def _of(heads: Sequence[Tried], name: str) -> list[Trial]:
    return [trial for tried in heads for trial in tried.trials if trial.name == name]


def _line(name: str, trials: Sequence[Trial]) -> tuple[str, ...]:
    bleeds = [trial.bleed for trial in trials if trial.bleed]
    refused = str(len(trials) - len(bleeds))
    if not bleeds:
        return (name, "0", refused, "", "", "", "")
    volumes, hu = np.array(bleeds).T
    return (
        name,
        str(len(bleeds)),
        refused,
        f"{np.median(volumes):.1f} ({volumes.min():.1f} to {volumes.max():.1f})",
        f"{np.median(hu):.0f} ({hu.min():.0f} to {hu.max():.0f})",
        str(int((hu < DIM_HU).sum())),
        f"{np.mean([trial.seconds for trial in trials]):.2f}",
    )


def bleeds_sheet(heads: Sequence[Tried], preprocessing: Preprocessing) -> Figure:
    """Bleeds of each type as they were drawn, and below with the outline of their mask.

    Raises
    ------
    ConfigError
        Nothing was drawn.
    """
    shown = {name: [t for t in _of(heads, name) if t.example][:COLUMNS] for name in CLASSES}
    if not any(shown.values()):
        raise ConfigError("no slice has a closed skull; nothing was drawn")
    lines = 3 * len(CLASSES)
    made = matplotlib.figure.Figure((SIDE * COLUMNS, 1.12 * SIDE * lines), layout="constrained")
    axes = made.subplots(lines, COLUMNS, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, trials in enumerate(shown.values()):
        for column, trial in enumerate(trials):
            _draw(axes[3 * line : 3 * line + 3, column], trial, preprocessing)
    caption = "Heads as scanned, with a drawn bleed, and with the outline of its mask."
    return png(made, "synthetic", caption)


def _draw(axes: np.ndarray, trial: Trial, preprocessing: Preprocessing) -> None:
    example, bleed = trial.example, trial.bleed
    if example is None or bleed is None:
        return
    before, after = (
        window(hu, preprocessing.level_hu, preprocessing.width_hu)
        for hu in (example.before, example.after)
    )
    panel(axes[0], before, f"patient {example.patient}, {example.number}")
    panel(axes[1], after, f"{trial.name}, {bleed.volume_ml:.1f} mL, {bleed.hu:.0f} HU")
    panel(axes[2], after, "")
    axes[2].contour(example.mask, [0.5], colors=BLOOD, linewidths=0.7)
