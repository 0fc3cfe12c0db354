"""Table 8: what SMOTE and the feature pyramid bring, and two choices that the paper leaves open.

Every row is a run of its own that differs in one thing. All are evaluated on the same patients,
whom no run gets to know, at thresholds fixed beforehand: none is chosen on them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from worker.munet.preprocessing import Channels, Preprocessing

PROPOSED = "fpn-smote"  # the row that all others are one step from
CLAHE = 2.0  # where the preset goes without
WORDS: Mapping[Channels, str] = {
    "gray": "gray",
    "neighbours": "neighbouring slices",
    "bone": "neighbouring slices and bone's window",
}


@dataclass(frozen=True)
class Variant:
    """One row: its run, and what the paper's table 8 says of it, if anything."""

    key: str
    label: str
    config: RunConfig
    published: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True)
class Row:
    """One variant's figures, and the patients that they are of."""

    variant: Variant
    paper: Mapping[str, Measured]
    clinical: Mapping[str, Measured]
    studies: Sequence[Study]


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
        Variant(PROPOSED, f"MUNet + FPN + SMOTE ({_words(seen)})", proposed, whole),
    ]
    others: dict[str, Preprocessing] = {
        "clahe" if clip_limit else "no-clahe": replace(seen, clip_limit=clip_limit)
    }
    if config.sampling.healthy:  # without them no slice has its neighbours
        others = {channels: replace(seen, channels=channels)} | others
    for key, other in others.items():
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
    return Row(variant, measured(studies, paper), measured(studies, clinical), studies)


def evaluated(fold: Fold, release: Release) -> Sequence[Study]:
    """Evaluate one row's patients at thresholds fixed beforehand."""
    reading = Reading(fold.config.preprocessing)
    unseen = list(answers(fold, release, reading))
    return judge(unseen, release, reading, FIXED).studies
