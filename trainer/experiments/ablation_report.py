"""The rows of the ablation as JSON and tables, and how they differ from the proposed method."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from trainer.datasets.splits import Split
from trainer.evaluation.pooled import Measured, clinical, gain, paper
from trainer.experiments.ablation import PROPOSED, Row
from trainer.reports import published
from trainer.reports.document import Section, Table, shown

TEXT = (
    "Each row is a run of its own on the same training patients, evaluated on the same other ones"
    " at thresholds fixed beforehand. 95 % intervals by bootstrap over those patients."
)
ANY = {
    "any_dice": "Dice, all voxels",
    "any_dice_by_slice": "Dice, by slice",
    "slice_auc": "AUC by slice",
    "study_auc": "AUC by study",
}

Apart = tuple[Row, Mapping[str, Measured]]


def to_json(rows: Sequence[Row], apart: Sequence[Apart], split: Split) -> dict[str, Any]:
    """All figures of all rows, with the paper's where it has them."""
    return {
        "patients": list(split.validation),
        "trained_on": list(split.train),
        "rows": [
            {
                "key": row.variant.key,
                "label": row.variant.label,
                "config": row.variant.config.to_json(),
                "published": row.variant.published,
                "paper": {name: asdict(figure) for name, figure in row.paper.items()},
                "clinical": {name: asdict(figure) for name, figure in row.clinical.items()},
            }
            for row in rows
        ],
        "against_proposed": {
            row.variant.key: {name: asdict(figure) for name, figure in figures.items()}
            for row, figures in apart
        },
    }


def against(rows: Sequence[Row]) -> list[Apart]:
    """Hold each other row against the proposed method, on the same patients, where that was run."""
    proposed = next((row.studies for row in rows if row.variant.key == PROPOSED), None)
    if proposed is None:
        return []
    return [
        (row, gain(row.studies, proposed, clinical) | gain(row.studies, proposed, paper))
        for row in rows
        if row.variant.key != PROPOSED
    ]


def sections(rows: Sequence[Row], apart: Sequence[Apart]) -> list[Section]:
    """Table 8 by the paper's protocol, the same rows by the clinical one, and their differences."""
    return [
        Section("Paper's protocol", tables=(table_8(rows),)),
        Section("Clinical protocol", tables=(by_any(rows),)),
        *([Section("Against the proposed method", tables=(differences(apart),))] if apart else []),
    ]


def table_8(rows: Sequence[Row]) -> Table:
    """Dice and IoU by type, ours above theirs."""
    lines = []
    for row in rows:
        for key, word in (("dice", "Dice"), ("iou", "IoU")):
            ours = (row.paper[f"{name}_{key}"] for name in published.ORDER)
            mean = row.paper[f"mean_{key}"]
            cells = (shown(figure.value, figure.ci95) for figure in (*ours, mean))
            lines.append((row.variant.label, f"{word}, ours", *cells))
            if row.variant.published:
                theirs = row.variant.published[key]
                numbers = (f"{theirs[name]:.2f}" for name in published.ORDER)
                mean_cell = f"{theirs['mean']:.2f}" if "mean" in theirs else "-"
                lines.append(("", f"{word}, paper", *numbers, mean_cell))
    head = ("method", "", *published.ORDER, "mean")
    note = (
        "Means over slices with exactly one type, and over those with several where each pixel's"
        " type is known; the last column is the mean over types. 95 % intervals over patients."
    )
    return Table("Table 8. Ablation", head, tuple(lines), note)


def by_any(rows: Sequence[Row]) -> Table:
    """Any hemorrhage of the same rows."""
    lines = tuple(
        (row.variant.label, *(shown(row.clinical[n].value, row.clinical[n].ci95) for n in ANY))
        for row in rows
    )
    note = "Every slice of every patient; 95 % intervals over patients."
    return Table("Any hemorrhage", ("method", *ANY.values()), lines, note)


def differences(apart: Sequence[Apart]) -> Table:
    """Set out each other row minus the proposed method."""
    names = ANY | {"mean_dice": "mean Dice over types"}
    lines = tuple(
        (row.variant.label, *(shown(figures[n].value, figures[n].ci95) for n in names))
        for row, figures in apart
    )
    note = "Minus MUNet + FPN + SMOTE on the same patients; 95 % intervals over patients, in pairs."
    return Table("Difference to the proposed method", ("method", *names.values()), lines, note)
