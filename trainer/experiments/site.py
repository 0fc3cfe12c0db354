"""Thresholds from a site's own studies on which model and readers agreed or disagreed.

Only the study's threshold and its gate change, in every operating point: weights, calibration,
masks and slices stay, so a site can go back by taking the old card.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from trainer.config import ConfigError
from trainer.evaluation.intervals import counts, shares
from trainer.evaluation.operating import LEAST, POINTS
from trainer.experiments.verdicts import Verdict
from worker.munet.card import Card


def calibrated(card: Card, verdicts: Sequence[Verdict]) -> Card:
    """Return the card with study thresholds chosen on these studies.

    Raises
    ------
    ConfigError
        Too few studies of a kind.
    """
    truth = np.array([verdict.bleeds for verdict in verdicts], np.bool_)
    score = np.array([verdict.probability for verdict in verdicts])
    if min(int(truth.sum()), int((~truth).sum())) < LEAST:
        raise ConfigError(
            f"{int(truth.sum())} studies with blood and {int((~truth).sum())} without: a threshold"
            f" needs {LEAST} of each; collect more verdicts"
        )
    names = [name for name in POINTS if name in card.operating_points]
    rising = sorted(POINTS[name](truth, score) for name in names)  # as `operating.points`
    limits = dict(zip(names, rising, strict=True))
    points = {
        name: replace(point, study_any=limits[name], study_gate=limits[name])
        if name in limits
        else point
        for name, point in card.operating_points.items()
    }
    record = {
        "studies": len(verdicts),
        "with_blood": int(truth.sum()),
        "thresholds": limits,
        "counts": {name: counts(truth, score >= limit) for name, limit in limits.items()},
        "on_these_studies": {name: shares(truth, score >= limit) for name, limit in limits.items()},
        "note": "thresholds were chosen on these studies, so their intervals flatter",
    }
    return replace(card, operating_points=points, training={**card.training, "site": record})


def told(record: Mapping[str, Any]) -> Iterator[str]:
    """Say of each point in `training["site"]` how many it called right, and warn of a poor one."""
    for name, kinds in record["counts"].items():
        shares = (f"{kind} {right} of {cases}" for kind, (right, cases) in kinds.items())
        poor = [kind for kind, (right, cases) in kinds.items() if 2 * right < cases]
        warning = (
            f". Its {' and '.join(poor)} is below one half: choose another point" if poor else ""
        )
        yield f"{name}: {', '.join(shares)}{warning}"
