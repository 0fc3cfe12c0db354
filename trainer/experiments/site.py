"""Thresholds from a site's own studies on which model and readers agreed or disagreed.

Only the study's threshold and its gate change, in every operating point: weights, calibration,
masks and slices stay, so a site can go back by taking the old card.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.config import ConfigError
from trainer.evaluation.intervals import shares
from trainer.evaluation.operating import LEAST, POINTS
from worker.munet.card import Card


@dataclass(frozen=True)
class Verdict:
    """One study: what the model gave it, and what its readers agreed on."""

    probability: float
    bleeds: bool


def read_verdicts(path: Path, model_sha256: str = "") -> list[Verdict]:
    """Read a CSV with a head, or a JSON array of objects: a site's own, or the worklist's export.

    Of an export the newest verdict of a study counts, and what says nothing of this model's
    threshold is left out: another model's score, a result without one, a reader who left it open.

    Raises
    ------
    ConfigError
        The file can't be read, or a row lacks a value; the row is named.
    """
    try:
        rows = _rows(path, path.read_text("utf-8-sig"))
        newest = {_study(number, row): (number, row) for number, row in enumerate(rows, 1)}
        return [
            _verdict(path, number, row)
            for number, row in newest.values()
            if not _says_nothing(row, model_sha256)
        ]
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: is no UTF-8; save the file as UTF-8") from error
    except (OSError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _rows(path: Path, text: str) -> list[Any]:
    """Read the rows; where a comma is the decimal point, a spreadsheet writes semicolons."""
    if path.suffix != ".json":
        lines = text.splitlines()
        delimiter = ";" if lines and ";" in lines[0] else ","
        return list(csv.DictReader(lines, delimiter=delimiter))
    rows = json.loads(text)
    if not isinstance(rows, list):
        raise ConfigError(f"{path}: is no array of studies")
    return rows


def _study(number: int, row: Any) -> str | int:
    uid = row.get("study_instance_uid") if isinstance(row, Mapping) else None
    return str(uid) if uid else number


def _says_nothing(row: Any, model_sha256: str) -> bool:
    if not isinstance(row, Mapping) or not row.get("study_instance_uid"):
        return False  # a table made by hand says something in every row, or is wrong
    other = model_sha256 and row.get("model_sha256") not in (None, "", model_sha256)
    return bool(other) or any(row.get(name) in (None, "") for name in ("probability", "bleeds"))


def _verdict(path: Path, number: int, row: Mapping[str, Any]) -> Verdict:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    try:
        probability = float(str(row["probability"]).replace(",", "."))
        bleeds = words[str(row["bleeds"]).strip().lower()]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}, study {number}: needs probability (0 to 1) and bleeds (0 or 1)"
        ) from error
    if not 0 <= probability <= 1 or math.isnan(probability):
        raise ConfigError(f"{path}, study {number}: {probability} is no probability")
    return Verdict(probability, bleeds)


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
        "on_these_studies": {name: shares(truth, score >= limit) for name, limit in limits.items()},
        "note": "thresholds were chosen on these studies, so their intervals flatter",
    }
    return replace(card, operating_points=points, training={**card.training, "site": record})
