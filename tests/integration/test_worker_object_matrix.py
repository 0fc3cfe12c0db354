"""Objects of generated geometries and patients pass two validators and our own read-back.

Each case is drawn from its number, so that a failing one can be run alone.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.support.phantoms import EMERGENCY, Phantom, write
from tests.support.statements import write_all
from tests.support.validators import object_errors, study_errors
from worker.forms import Forms
from worker.slices import read_series

pytestmark = pytest.mark.slow  # a hundred objects, each through the validators

QUICK, ALL = 20, 220
NAMES: Sequence[tuple[str | list[str], str]] = [
    ("ISO_IR 6", "Smith^John"),
    ("ISO_IR 100", "Müller^Jürgen"),
    ("ISO_IR 192", "Ødegård^Åse"),
    ("GB18030", "Wang^XiaoDong=王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞"),
    ("ISO_IR 144", "\u041b\u044e\u043a\u0441\u0435\u043c\u0431\u0443\u0440\u0433"),
    ("ISO_IR 192", "NOBODY"),
    ("ISO_IR 100", ""),
]
TURNS = ([1, 0, 0], [0.9986295, 0.0523360, 0], [-1, 0, 0])


def phantom(draw: random.Random) -> Phantom:
    """Draw a scan: steps, gap, tilt, order, size."""
    step_mm = draw.choice([1.25, 2.5, 4.8, 5.0, 7.5])
    positions = [round(-12.0 + step_mm * index, 3) for index in range(draw.randint(4, 7))]
    if draw.random() < 0.3:
        del positions[2]
    if draw.random() < 0.2:
        positions.append(positions[-1] + 2 * step_mm)
    return Phantom(
        tuple(positions),
        tilt_degrees=draw.choice([0, 0, 5.5, 12, -20, 28]),
        size=draw.choice([32, 48, 64]),
        signed=draw.random() < 0.7,
        reversed=draw.random() < 0.5,
        study=f"1.2.{draw.randint(3, 99999)}",
    )


def as_sent(draw: random.Random, scan: Phantom) -> list[Dataset]:
    """Draw a patient and a sender: names, what is missing, spacing, rows that run another way."""
    enhanced = draw.random() < 0.15 and not scan.tilt_degrees
    datasets = [scan.enhanced] if enhanced else scan.datasets
    character_set, name = draw.choice(NAMES)
    missing = draw.sample(EMERGENCY, draw.choice([0, 0, 1, 3, len(EMERGENCY)]))
    spacing = draw.choice([[2.5, 2.5], [2.0, 2.5], [2.5, 1.75]])
    sex = draw.choice(["M", "F", "O"])
    turn = np.array(draw.choice(TURNS))
    for ds in datasets:
        ds.SpecificCharacterSet, ds.PatientName, ds.PatientSex = character_set, name, sex
        if not enhanced:
            ds.PixelSpacing = spacing
            if not scan.tilt_degrees and tuple(turn) != (1, 0, 0):
                column = np.cross([0, 0, 1], turn)
                ds.ImageOrientationPatient = [round(float(x), 7) for x in (*turn, *column)]
        for keyword in set(missing) - {"SliceThickness"} if enhanced else missing:
            if keyword in ds:
                delattr(ds, keyword)
    draw.shuffle(datasets)
    return datasets


def cases() -> list[object]:
    slow = pytest.mark.slow
    return [pytest.param(n, marks=() if n < QUICK else (slow,)) for n in range(ALL)]


@pytest.mark.parametrize("number", cases())
def test_every_object_of_a_drawn_study_is_valid(number: int, tmp_path: Path) -> None:
    draw = random.Random(number)
    sent = write(as_sent(draw, phantom(draw)), tmp_path / "in")
    forms = Forms(("BINARY", "LABELMAP"), unlocated_report=True)
    written = write_all(read_series(sent), tmp_path / "out", forms)
    assert written.refused == []
    paths = [written.path for written in written.objects]
    assert {written.kind for written in written.objects} == {"SEG", "SR", "SC", "KO"}
    assert [error for path in paths for error in object_errors(path)] == []
    assert study_errors([*sent, *paths]) == []
