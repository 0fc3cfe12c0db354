"""What a split by slice is worth, as tables and JSON; LEAKING stands over all of it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from trainer.config import RunConfig
from trainer.evaluation.outlined import with_type
from trainer.evaluation.pooled import gain, measured
from trainer.experiments.leak import Arm, figures
from trainer.reports import published
from trainer.reports.document import Section, Table, Text, shown
from worker.munet.card import CLASSES

WORDS = {
    "type_accuracy": "type accuracy",
    "type_balanced_accuracy": "type accuracy, mean over types",
    "mean_dice": "mean Dice over types",
    "mean_iou": "mean IoU over types",
    **{f"{name}_dice": f"Dice of {name}" for name in CLASSES},
    "any_dice": "any blood, Dice pooled over all voxels",
    "any_dice_by_slice": "any blood, mean Dice over slices",
}
PUBLISHED = {
    "type_accuracy": published.ACCURACY,
    "mean_dice": published.DICE["mean"],
    "mean_iou": published.IOU["mean"],
    **{f"{name}_dice": published.DICE[name] for name in CLASSES},
}
WARNING = (
    "LEAKING on purpose: one side of every row was split by slice, so its network had learned from"
    " other slices of the very patients it is measured on. It says nothing about any new patient."
    " Both sides: slices with blood alone, as many of each kind to learn from and to be measured"
    " on, the network's own grid, maps cut at 0.5, the highest of five scores is the type; nothing"
    " is chosen on what is measured. 95 % intervals by bootstrap over patients."
)


def text(config: RunConfig) -> Text:
    """Say above a report what it is, before any figure."""
    return Text(f"LEAKING: {config.name} split by slice beside the same by patient", WARNING)


def sections(arms: Sequence[Arm]) -> list[Section]:
    """One table: by patient, by slice, and what the paper reports."""
    if not arms[0].studies:
        return []
    columns = [measured(arm.studies, figures) for arm in arms]
    heads = ["figure", *(arm.name for arm in arms)]
    if paired(arms):
        columns.append(gain(arms[1].studies, arms[0].studies, figures))
        heads.append("the leak, slice minus patient")
    rows = tuple(
        (
            label,
            *(shown(column[name].value, column[name].ci95) for column in columns),
            f"{PUBLISHED[name]:.3g}" if name in PUBLISHED else "-",
        )
        for name, label in WORDS.items()
    )
    return [Section("LEAKING", tables=(Table("By slice", (*heads, "paper"), rows, counts(arms)),))]


def paired(arms: Sequence[Arm]) -> bool:
    """Whether both sides measured the same patients, which a whole set of folds does."""
    first, second = ([study.patient for study in arm.studies] for arm in arms)
    return first == second


def counts(arms: Sequence[Arm]) -> str:
    """Say how many slices and patients stand behind each column."""
    words = [
        f"{arm.name}: {slices(arm)} slices of {len(arm.studies)} patients ("
        + ", ".join(f"{name} {with_type(arm.studies, i)}" for i, name in enumerate(CLASSES))
        + " with slices of this type alone)"
        for arm in arms
    ]
    return f"Folds {', '.join(map(str, arms[0].tested))}. {'; '.join(words)}."


def slices(arm: Arm) -> int:
    """Count the slices an arm was measured on."""
    return sum(len(study.types) for study in arm.studies)


def to_json(config: RunConfig, arms: Sequence[Arm]) -> dict[str, Any]:
    """All figures of both sides."""
    return {
        "LEAKING": WARNING,
        "config": config.to_json(),
        "arms": [
            {
                "split": arm.name,
                "tested": arm.tested,
                "slices": slices(arm),
                "patients": [study.patient for study in arm.studies],
                "figures": {n: asdict(m) for n, m in measured(arm.studies, figures).items()},
            }
            for arm in arms
            if arm.studies
        ],
        "published": PUBLISHED,
    }
