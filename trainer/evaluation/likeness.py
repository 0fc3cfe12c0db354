"""Within what ranges training patients measure, and above which score a series is unlike them.

The bar is chosen on the training patients alone: each is held against the ranges of all others, as
a new one will be, and the bar lies where no more than a twentieth of them is above. On patients of
the same scanner about as many will be; what it says of another one is not known before.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from trainer.datasets.people import person
from trainer.datasets.sources import Release
from trainer.datasets.stored import read_stored
from worker.look.series_look import look
from worker.look.unlikeness import MEASURES, Unlikeness, measured, unlikeness
from worker.munet.card import Card
from worker.munet.measured import Measured, Range

PERCENTILES = (5, 95)  # the one newborn of a data set makes no newborn familiar
ABOVE_SHARE = 0.05
LEAST = 10  # scans: a range of fewer says little of the next one
DIGITS = 3
Values = Mapping[str, float]


def measure(release: Release, patients: Iterable[int]) -> Iterator[tuple[int, Values]]:
    """Measure scans as a worker does before it asks the network; leave out what shows no head.

    Raises
    ------
    DataError
        A patient is not in the release.
    """
    wanted = list(patients)
    release.require(wanted)
    for patient in wanted:
        scan = read_stored(release.of(patient))
        if len(scan.hu) > 1 and (seen := look(scan)).is_head:
            yield patient, measured(seen)


def summed_up(scans: Mapping[int, Values]) -> Measured | None:
    """Give the ranges of scans and their bar; None of fewer than `LEAST`."""
    ranges = ranges_of(list(scans.values()), LEAST)
    if not ranges:
        return None
    known = {patient: _only(values, ranges) for patient, values in scans.items()}
    scores = sorted((found.score for found in left_out(known).values()), reverse=True)
    allowed = math.floor(ABOVE_SHARE * len(scores))
    bar = math.ceil(scores[allowed] * 10**DIGITS) / 10**DIGITS
    return Measured(len(scans), ranges, bar, sum(score > bar for score in scores))


def with_ranges(card: Card, training: Measured | None) -> Card:
    """Return the card with what its training scans measured, if that is known; all else stays."""
    if training is None:
        return card
    return replace(card, training={**card.training, "measured": asdict(training)})


def _only(values: Values, ranges: Mapping[str, Range]) -> Values:
    return {name: value for name, value in values.items() if name in ranges}


def ranges_of(scans: Sequence[Values], least: int = 1) -> dict[str, Range]:
    """Give the range of each measure that so many scans or more have."""
    found = {}
    for name in MEASURES:
        values = [scan[name] for scan in scans if name in scan]
        if len(values) >= least:
            low, high = np.percentile(values, PERCENTILES).round(DIGITS)
            found[name] = Range(float(low), float(high))
    return found


def left_out(scans: Mapping[int, Values]) -> dict[int, Unlikeness]:
    """Hold each scan against the ranges of all other people's."""
    found = {}
    for patient, values in scans.items():
        others = [scan for other, scan in scans.items() if person(other) != person(patient)]
        unlike = unlikeness(
            values, Measured(len(others), ranges_of(others), bar=0.0, scans_above=0)
        )
        if unlike is not None:
            found[patient] = unlike
    return found


def held_against(scans: Mapping[int, Values], training: Measured) -> dict[int, Unlikeness]:
    """Hold scans of other patients against the training patients' ranges."""
    unlike = {patient: unlikeness(values, training) for patient, values in scans.items()}
    return {patient: found for patient, found in unlike.items() if found is not None}
