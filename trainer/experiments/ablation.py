"""Table 8: what SMOTE and the feature pyramid bring, and two choices that the paper leaves open.

Every row is a run of its own that differs in one thing. All are evaluated on the same patients,
whom no run gets to know, at thresholds fixed beforehand: none is chosen on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from trainer.config import ConfigError, RunConfig, Smote, load_config
from trainer.datasets.cache import prepare
from trainer.datasets.sources import Release
from trainer.datasets.splits import Split
from trainer.evaluation.pooled import Measured, clinical, measured, paper
from trainer.evaluation.studies import Study
from trainer.experiments.crossval import Which, judge, train
from trainer.experiments.unseen import FIXED, Fold, Reading, answers
from trainer.reports import published
from trainer.reports.document import Section, Table, shown
from worker.munet.preprocessing import Channels, Preprocessing

CLAHE = 2.0  # where the preset goes without
WORDS: Mapping[Channels, str] = {
    "gray": "gray",
    "neighbours": "neighbouring slices",
    "bone": "neighbouring slices and bone's window",
}
TEXT = (
    "Each row is a run of its own on the same training patients, evaluated on the same other ones"
    " at thresholds fixed beforehand. 95 % intervals by bootstrap over those patients."
)


@dataclass(frozen=True)
class Variant:
    """One row: its run, and what the paper's table 8 says of it, if anything."""

    key: str
    label: str
    config: RunConfig
    published: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True)
class Row:
    """One variant's figures."""

    variant: Variant
    paper: Mapping[str, Measured]
    clinical: Mapping[str, Measured]


def variants(config: RunConfig) -> list[Variant]:
    """Return the rows of the table, each one step from the third, the proposed method.

    SMOTE's counts are the preset's, or table 4's where it has none.
    """
    smote = load_config("paper").smote if config.smote == Smote() else config.smote
    proposed = replace(config, smote=smote, network=replace(config.network, fpn=True))
    flat = replace(proposed, network=replace(config.network, fpn=False))
    seen = proposed.preprocessing
    channels: Channels = "gray" if seen.channels == "neighbours" else "neighbours"
    clip_limit = 0.0 if seen.clip_limit else CLAHE
    whole = {"dice": published.DICE, "iou": published.IOU}
    found = [
        Variant("smote", "MUNet + SMOTE", flat, published.WITHOUT_FPN),
        Variant("fpn", "MUNet + FPN", replace(proposed, smote=Smote()), published.WITHOUT_SMOTE),
        Variant("fpn-smote", f"MUNet + FPN + SMOTE ({_words(seen)})", proposed, whole),
    ]
    for key, other in (
        (channels, replace(seen, channels=channels)),
        ("clahe" if clip_limit else "no-clahe", replace(seen, clip_limit=clip_limit)),
    ):
        network = replace(proposed.network, in_channels=other.planes)
        changed = replace(proposed, preprocessing=other, network=network)
        found.append(Variant(key, f"MUNet + FPN + SMOTE ({_words(other)})", changed))
    return [replace(v, config=replace(v.config, name=f"{config.name}-{v.key}")) for v in found]


def named_rows(found: Sequence[Variant], names: str) -> list[Variant]:
    """Pick rows by their comma-separated keys; all of them when none is named.

    Raises
    ------
    ConfigError
        No row has such a key.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    known = [variant.key for variant in found]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise ConfigError(f"rows {unknown} are not among {known}")
    return [variant for variant in found if not wanted or variant.key in wanted]


def _words(preprocessing: Preprocessing) -> str:
    slices = WORDS[preprocessing.channels]
    return f"{slices}, {'CLAHE' if preprocessing.clip_limit else 'no CLAHE'}"


def ablate(
    rows: Sequence[Variant],
    release: Release,
    split: Split,
    folder: Path,
    cache: Path,
    console: Console,
) -> list[Row]:
    """Train every row from where it stands, one folder each, and evaluate it."""
    return [_row(variant, release, split, folder, cache, console) for variant in rows]


def _row(
    variant: Variant, release: Release, split: Split, folder: Path, cache: Path, console: Console
) -> Row:
    fold = Fold(0, split, variant.config, folder / variant.key)
    prepared = prepare(release, variant.config.preprocessing, cache)
    train([fold], Which(folder), prepared, console)
    studies = evaluated(fold, release)
    return Row(variant, measured(studies, paper), measured(studies, clinical))


def evaluated(fold: Fold, release: Release) -> Sequence[Study]:
    """Evaluate one row's patients at thresholds fixed beforehand."""
    reading = Reading(fold.config.preprocessing)
    unseen = list(answers(fold, release, reading))
    return judge(unseen, release, reading, FIXED).studies


def to_json(rows: Sequence[Row], split: Split) -> dict[str, Any]:
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
    }


def sections(rows: Sequence[Row]) -> list[Section]:
    """Table 8 by the paper's protocol, and the same rows by the clinical one."""
    return [
        Section("Paper's protocol", tables=(table_8(rows),)),
        Section("Clinical protocol", tables=(by_any(rows),)),
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
    note = "Means over slices with exactly one type; 95 % intervals over patients."
    return Table("Table 8. Ablation", head, tuple(lines), note)


def by_any(rows: Sequence[Row]) -> Table:
    """Any hemorrhage of the same rows."""
    names = {
        "any_dice": "Dice, all voxels",
        "any_dice_by_slice": "Dice, by slice",
        "slice_auc": "AUC by slice",
        "study_auc": "AUC by study",
    }
    lines = tuple(
        (row.variant.label, *(shown(row.clinical[n].value, row.clinical[n].ci95) for n in names))
        for row in rows
    )
    note = "Every slice of every patient; 95 % intervals over patients."
    return Table("Any hemorrhage", ("method", *names.values()), lines, note)
