"""Read what a site's readers agreed on: its own table, or what the worklist exports."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer.config import ConfigError

Numbered = tuple[int, Any]  # a row and its number, counted from 1 below the titles


@dataclass(frozen=True)
class Verdict:
    """One study: what the model gave it, and what its readers agreed on."""

    probability: float
    bleeds: bool


def read_verdicts(path: Path, model_sha256: str = "") -> list[Verdict]:
    """Read a CSV with a head, or a JSON array of objects: a site's own, or the worklist's export.

    Of an export what is about no score of this model is left out. Of a study's other verdicts the
    newest counts, wherever it stands; one that leaves it open is left out, and those before it.

    Raises
    ------
    ConfigError
        The file can't be read, a row lacks a value, or nobody can tell which of a study's verdicts
        is the newest; the row is named.
    """
    try:
        rows = _rows(path, path.read_text("utf-8-sig"))
        newest = [_newest(path, given) for given in _by_study(rows, model_sha256)]
        return [_verdict(path, number, row) for number, row in newest if not _left_open(row)]
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


def _by_study(rows: Sequence[Any], model_sha256: str) -> list[list[Numbered]]:
    """Put the verdicts about this model's scores together by study; each without one is its own."""
    found: dict[str | int, list[Numbered]] = {}
    for number, row in enumerate(rows, 1):
        if not _of_no_score(row, model_sha256):
            found.setdefault(_study(row) or number, []).append((number, row))
    return list(found.values())


def _newest(path: Path, given: Sequence[Numbered]) -> Numbered:
    """Return a study's newest verdict by `given_at`: a spreadsheet may have sorted the rows."""
    if len(given) == 1:
        return given[0]
    *_, before, (newest, number, row) = sorted(
        ((_given_at(path, number, row), number, row) for number, row in given), key=lambda v: v[:2]
    )
    if before[0] == newest:
        raise _unclear(path, number, row, f"was given when verdict {before[1]} was")
    return number, row


def _given_at(path: Path, number: int, row: Mapping[str, Any]) -> datetime:
    text = str(row.get("given_at") or "")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _unclear(path, number, row, f"given_at {text!r} is no time of ISO 8601") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # as the worklist writes it


def _unclear(path: Path, number: int, row: Mapping[str, Any], words: str) -> ConfigError:
    return ConfigError(
        f"{path}, verdict {number} of study {_study(row)}: {words}, so which of its verdicts is"
        " the newest can't be told; export anew, or keep the one that counts"
    )


def _study(row: Any) -> str:
    """Return a row's study; a table made by hand names none."""
    return str(row.get("study_instance_uid") or "") if isinstance(row, Mapping) else ""


def _of_no_score(row: Any, model_sha256: str) -> bool:
    if not _study(row):
        return False  # a table made by hand says something in every row, or is wrong
    other = model_sha256 and row.get("model_sha256") not in (None, "", model_sha256)
    return bool(other) or row.get("probability") in (None, "")


def _left_open(row: Any) -> bool:
    return bool(_study(row)) and row.get("bleeds") in (None, "")


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
