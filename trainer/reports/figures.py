"""Figures 9 to 17 of the paper and those of the clinical protocol, as PNG."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.figure
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from sklearn.metrics import roc_curve

from trainer.datasets.cache import small_mask
from trainer.evaluation.evaluate import leads
from trainer.evaluation.gallery import Example
from trainer.evaluation.studies import Study, by_slice, by_study
from trainer.reports.document import Figure
from worker.munet.card import CLASSES
from worker.munet.clahe import equalise
from worker.munet.preprocessing import Preprocessing
from worker.munet.resize import resize

NUMBERS = {"IVH": 10, "IPH": 11, "SAH": 12, "SDH": 13, "EDH": 14}  # the paper's figure by type
PAPER_CLAHE = 2.0  # shown where a model does without
DPI = 110
BLOOD = "#d1242f"


def canvas(
    width: float, height: float, columns: int = 1
) -> tuple[matplotlib.figure.Figure, list[Axes]]:
    """Return an empty figure of one row; no window and no global state stand behind it."""
    made = matplotlib.figure.Figure(figsize=(width, height), layout="constrained")
    axes = made.subplots(1, columns, squeeze=False)
    return made, list(axes[0])


def png(made: matplotlib.figure.Figure, name: str, caption: str) -> Figure:
    """Draw a figure."""
    data = io.BytesIO()
    made.savefig(data, format="png", dpi=DPI)
    return Figure(name, caption, data.getvalue())


def panel(axes: Axes, picture: npt.NDArray[Any], title: str) -> None:
    """Show one grey picture."""
    axes.imshow(picture, cmap="gray", interpolation="nearest")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def preparation(example: Example, preprocessing: Preprocessing) -> Figure:
    """Figure 9: the slice and its mask resized, and CLAHE."""
    small = resize(example.grey, example.box, preprocessing.size)
    enhanced = equalise(small, preprocessing.clip_limit or PAPER_CLAHE, preprocessing.tiles)
    mask = small_mask(example.truth, example.box, preprocessing.size)
    made, axes = canvas(12, 2.8, 5)
    sides = f"{preprocessing.size} x {preprocessing.size}"
    panel(axes[0], example.grey, f"slice, {example.grey.shape[0]} x {example.grey.shape[1]}")
    panel(axes[1], small, f"resized, {sides}")
    panel(axes[2], example.truth, "mask")
    panel(axes[3], mask, f"mask resized, {sides}")
    panel(axes[4], enhanced, "CLAHE")
    used = "" if preprocessing.clip_limit else " This model does without CLAHE; it is shown only."
    where = f"Patient {example.patient}, slice {example.number}."
    return png(made, "figure-09", f"Figure 9. Resizing and CLAHE. {where}{used}")


def overlay(axes: Axes, example: Example, title: str) -> None:
    """Show what was found in red under the outline of what is there."""
    panel(axes, example.grey, title)
    red = np.ma.masked_where(~example.found, example.found)
    axes.imshow(red, cmap=ListedColormap([BLOOD]), alpha=0.6, interpolation="nearest")
    if example.truth.any():
        axes.contour(example.truth, [0.5], colors="white", linewidths=0.8)


def masks(name: str, example: Example) -> Figure:
    """Figures 10 to 14: a slice, its mask and the predicted mask."""
    made, axes = canvas(8, 2.9, 3)
    panel(axes[0], example.grey, f"{name}, patient {example.patient}, slice {example.number}")
    panel(axes[1], example.truth, "mask")
    overlay(axes[2], example, "predicted (red), mask (outline)")
    text = (
        f"Figure {NUMBERS[name]}. {name}: the evaluated slice with most blood of this type alone."
    )
    return png(made, f"figure-{NUMBERS[name]:02d}", text)


def worst(examples: Sequence[Example]) -> Figure:
    """Show the slices that are most wrong, one a patient."""
    made, axes = canvas(2.6 * len(examples), 2.9, len(examples))
    for axis, example in zip(axes, examples, strict=True):
        overlay(axis, example, f"patient {example.patient}, slice {example.number}")
    text = "Worst cases: most pixels missed or falsely found. Predicted red, mask as outline."
    return png(made, "worst-cases", text)


def confusion(report: Mapping[str, Any]) -> Figure:
    """Figure 15: rows are true, columns are called."""
    counts = np.array(report["classification"]["confusion"])
    made, (axes,) = canvas(4.6, 4)
    axes.imshow(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), cmap="Blues", vmax=1)
    for row, column in np.ndindex(*counts.shape):
        share = counts[row, column] / max(counts[row].sum(), 1)
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_yticks(range(len(CLASSES)), CLASSES)
    axes.set_xlabel("called")
    axes.set_ylabel("true")
    return png(made, "figure-15", "Figure 15. Confusion matrix, slices with one type.")


def bars(report: Mapping[str, Any]) -> Figure:
    """Figure 16: precision, recall and F1 by type; a type that can't be measured has no bar."""
    made, (axes,) = canvas(7, 3.2)
    for shift, key in enumerate(("precision", "recall", "f1")):
        heights = [report["classification"][name][key] for name in CLASSES]
        axes.bar(np.arange(len(CLASSES)) + 0.25 * (shift - 1), heights, 0.23, label=key)
    axes.set_xticks(range(len(CLASSES)), CLASSES)
    axes.set_ylim(0, 1.15)
    axes.legend(loc="upper center", ncols=3, frameon=False)
    return png(made, "figure-16", "Figure 16. Precision, recall and F1 by type.")


def roc_by_type(studies: Sequence[Study]) -> Figure:
    """Figure 17: one type against the others, by how far it leads them, slices with one type."""
    types = np.concatenate([study.types for study in studies])
    single = types.sum(axis=1) == 1
    scores = leads(np.concatenate([study.slice_probabilities for study in studies])[single, :-1])
    curves = {name: (types[single, i], scores[:, i]) for i, name in enumerate(CLASSES)}
    made = roc(curves)
    return png(made, "figure-17", "Figure 17. ROC by type, slices with one type.")


def roc_any(studies: Sequence[Study]) -> Figure:
    """ROC of any hemorrhage by slice and by study, and the operating points."""
    made = roc({"by slice": by_slice(studies)[:2], "by study": by_study(studies)[:2]})
    return png(made, "roc-any", "ROC of any hemorrhage, every slice of every patient.")


def roc(
    curves: Mapping[str, tuple[npt.NDArray[np.bool_], npt.NDArray[np.floating]]],
) -> matplotlib.figure.Figure:
    """Draw curves of (truth, score); one that has a single kind of truth is named and left out."""
    made, (axes,) = canvas(4.6, 4.2)
    for name, (truth, score) in curves.items():
        if truth.any() and not truth.all():
            false, true, _ = roc_curve(truth, score)
            axes.plot(false, true, label=name)
        else:
            axes.plot([], [], label=f"{name}: not measurable")
    axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle=":")
    axes.set_xlabel("1 - specificity")
    axes.set_ylabel("sensitivity")
    axes.legend(loc="lower right", fontsize=8)
    return made


def reliability(report: Mapping[str, Any]) -> Figure:
    """How often what is called 30 % is there."""
    made, axes = canvas(8, 3.6, 2)
    for axis, level in zip(axes, ("slice", "study"), strict=True):
        curve = report["clinical"]["calibration"][level]["curve"]
        predicted = [point["predicted"] for point in curve]
        axis.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle=":")
        axis.plot(predicted, [point["observed"] for point in curve], marker="o")
        for point in curve:
            where = (point["predicted"], point["observed"])
            axis.annotate(str(point["count"]), where, fontsize=7, xytext=(3, 4),
                         textcoords="offset points")  # fmt: skip
        axis.set_xlabel(f"predicted, any by {level}")
        axis.set_ylabel("observed")
    return png(made, "calibration", "Calibration; numbers are slices or studies in a bin.")


def volumes(studies: Sequence[Study]) -> Figure:
    """Found against true volume by study."""
    pairs = np.array([study.volume_ml for study in studies])
    made, (axes,) = canvas(4.6, 4.2)
    axes.scatter(pairs[:, 0], pairs[:, 1], s=14, color=BLOOD)
    most = max(float(pairs.max()), 1.0)
    axes.plot([0, most], [0, most], color="gray", linewidth=0.8, linestyle=":")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("true volume, mL")
    axes.set_ylabel("found volume, mL")
    return png(made, "volumes", "Volume by study.")
