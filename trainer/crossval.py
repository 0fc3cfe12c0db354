"""Cross-validation by patient: the figure that decides.

Every patient is judged by a network that never saw them. The thresholds and the calibration of a
fold come from the other folds' patients, each seen by a network that never saw those either, so
no figure at an operating point is chosen on the patients it is measured on.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from trainer.cache import Prepared
from trainer.config import RunConfig
from trainer.ctich import Release
from trainer.fit import fit
from trainer.judge import Study, judge
from trainer.operating import TOP, Seen, look
from trainer.ship import card_of, finished
from trainer.splits import folds
from worker.munet import checkpoint
from worker.munet.card import Scoring
from worker.munet.inference import Predictor

MASK_WEIGHT = 0.5  # fixed beforehand: what `ship` chooses would be one choice more


def crossval(
    config: RunConfig,
    prepared: Prepared,
    release: Release,
    folder: Path,
    count: int,
    console: Console,
) -> list[Study]:
    """Train `count` folds, one after the other, and judge every patient once.

    Parameters
    ----------
    folder
        Holds one run a fold; a second call goes on after a kill.
    """
    splits = folds(prepared, count, config.seed)
    runs = [folder / f"fold-{number}" for number in range(count)]
    for number, (split, place) in enumerate(zip(splits, runs, strict=True)):
        fit(replace(config, name=f"{config.name}-fold-{number}"), prepared, split, place, console)
    seen = [held_out(place, prepared) for place in runs]
    studies: list[Study] = []
    for number, place in enumerate(runs):
        others = [one for index, part in enumerate(seen) if index != number for one in part]
        studies += judged(place, release, others)
    return sorted(studies, key=lambda study: study.patient)


def held_out(place: Path, prepared: Prepared) -> list[Seen]:
    """Raw answers of one fold's network for the patients it never saw."""
    run = finished(place)
    scoring = Scoring(flip=True, mask_weight=MASK_WEIGHT, top=TOP)
    return look(run.network, prepared, run.split.validation, scoring)


def judged(place: Path, release: Release, others: Sequence[Seen]) -> list[Study]:
    """Judge one fold's patients at thresholds that the other folds' patients gave."""
    run = finished(place)
    scoring = Scoring(flip=True, mask_weight=MASK_WEIGHT, top=TOP)
    target = place / "model.safetensors"
    checkpoint.write(target, run.network.state_dict(), card_of(run, others, scoring))
    return list(judge(Predictor(target), release, run.split.validation))
