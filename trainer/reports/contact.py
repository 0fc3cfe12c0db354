"""What SMOTE makes, to look at before training on it: table 4 and figure 5."""

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from trainer.config import ConfigError
from trainer.datasets.cache import Prepared
from trainer.reports import published
from trainer.reports.document import Figure, Table
from trainer.reports.figures import BLOOD, panel, png
from trainer.training.smote import SYNTHETIC, single_type
from worker.munet.card import CLASSES

ORIGINALS, SYNTHETICS = 3, 5  # columns of the sheet
SIDE = 1.7  # inches of one picture


def table_4(prepared: Prepared, rows: npt.NDArray[np.intp], grown: Prepared) -> Table:
    """Slices of each type before and after; a slice with several types counts for each."""
    before, made = prepared.types[rows].sum(axis=0), grown.types[len(prepared) :].sum(axis=0)
    lines = tuple(
        (name, str(before[i]), str(made[i]), *map(str, published.TABLE_4[name]))
        for i, name in enumerate(CLASSES)
    )
    head = ("type", "slices", "made by SMOTE", "paper: actual", "paper: after SMOTE")
    note = "The paper counts all its patients; targets here are of slices with one type alone."
    return Table("Table 4. SMOTE", head, lines, note)


def contact_sheet(
    prepared: Prepared, rows: npt.NDArray[np.intp], grown: Prepared, seed: int
) -> Figure:
    """Figure 5: for each type originals, then synthetic slices, with the mask's outline.

    Raises
    ------
    ConfigError
        Nothing was made.
    """
    if len(grown) == len(prepared):
        raise ConfigError("this preset asks SMOTE for nothing; give it a [smote] table")
    rng = np.random.default_rng(seed)
    types = [i for i in range(len(CLASSES)) if grown.types[len(prepared) :, i].any()]
    columns = ORIGINALS + SYNTHETICS
    made = matplotlib.figure.Figure(
        (SIDE * columns, 1.15 * SIDE * len(types)), layout="constrained"
    )
    axes = made.subplots(len(types), columns, squeeze=False)
    new = np.arange(len(prepared), len(grown))
    for line, index in zip(axes, types, strict=True):
        shown = [
            *drawn(grown, rows, index, ORIGINALS, rng),
            *drawn(grown, new, index, SYNTHETICS, rng),
        ]
        for axis, row in zip(line, shown, strict=False):
            slice_panel(axis, grown, row, CLASSES[index])
        for axis in line[len(shown) :]:
            axis.set_axis_off()
    return png(made, "figure-05", "Figure 5. Slices of the release, and slices made by SMOTE.")


def drawn(
    grown: Prepared,
    rows: npt.NDArray[np.intp],
    index: int,
    count: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    """Draw slices with one type alone."""
    single = single_type(grown, rows, index)
    return np.asarray(rng.choice(single, min(count, len(single)), replace=False))


def slice_panel(axes: Axes, grown: Prepared, row: int, name: str) -> None:
    """Show one slice: its own picture, not its neighbours', and its mask."""
    patient = grown.patients[row]
    origin = "SMOTE" if patient == SYNTHETIC else f"patient {patient}, {grown.numbers[row]}"
    panel(axes, grown.pictures[grown.layout[row, 1]], f"{name}, {origin}")
    if grown.masks[row].any():
        axes.contour(grown.masks[row], [0.5], colors=BLOOD, linewidths=0.8)
