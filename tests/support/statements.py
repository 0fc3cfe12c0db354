"""Statements and objects of phantoms, for tests of what leaves the system."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from schema.hemorrhage_subtypes import ANY, KEYS, Claim
from schema.states import Outcome
from worker.findings import measure
from worker.forms import Forms
from worker.objects.revision import FIRST, Revision
from worker.objects.statement import Statement
from worker.objects.writing import Written, write_objects
from worker.slices import SourceSeries

SHA256 = "ab" * 32
EVERY_REPORT = Forms(unlocated_report=True)
REPORTED = dict.fromkeys(KEYS, Claim.REPORTED)
SCORES = dict.fromkeys((ANY, *KEYS), 0.75)


def bleed(series: SourceSeries) -> npt.NDArray[np.uint8]:
    """Call the phantom's sphere EDH on the left, SDH on the right."""
    blood = (series.volume.hu > 35) & (series.volume.hu < 200)
    left = np.arange(blood.shape[2]) < blood.shape[2] // 2
    return np.where(blood, np.where(left, 1, 5), 0).astype(np.uint8)


def statement_of(
    series: SourceSeries,
    labels: npt.NDArray[np.uint8],
    claims: Mapping[str, Claim] = REPORTED,
    **values: object,
) -> Statement:
    """State what was measured; types that no claim is given for are reported."""
    found = bool(labels.any())
    given = {
        "outcome": Outcome.POSITIVE if found else Outcome.NEGATIVE,
        "level": 1 if found else 4,
        "reason": "EDH 31 mL (critical at 30 mL or more)" if found else "no hemorrhage found",
        "rule_version": "2",
        "findings": measure(series.volume, labels, SCORES, {**REPORTED, **claims}),
        "model": "threshold",
        "model_sha256": SHA256,
    }
    return Statement(**(given | values))


def write_all(
    series: SourceSeries,
    folder: Path,
    forms: Forms = EVERY_REPORT,
    revision: Revision = FIRST,
    **values: object,
) -> Written:
    """Write every object of a phantom with a bleed."""
    labels = bleed(series)
    statement = statement_of(series, labels, **values)
    return write_objects(series, labels, statement, folder, revision, forms)
