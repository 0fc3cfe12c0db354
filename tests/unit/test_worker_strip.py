"""What is stored of each slice, and the picture for the list."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from schema.hemorrhage_subtypes import BLOOD_RGB, KEYS, Claim
from schema.states import Outcome
from tests.support.phantoms import HEAD_MM, Phantom
from tests.support.statements import bleed, statement_of
from worker.objects.drawing import draw_key
from worker.objects.statement import Statement
from worker.orientation import sides
from worker.slices import SourceSeries, read_series
from worker.strip import key_picture, slice_values


@pytest.fixture
def head(tmp_path: Path) -> SourceSeries:
    return read_series(Phantom(HEAD_MM, skull=True).write(tmp_path))


def test_each_slice_has_its_position_score_and_blood(head: SourceSeries) -> None:
    labels = bleed(head)
    scores = np.linspace(0, 1, len(labels))
    values = slice_values(head.volume, labels, scores)
    assert values["position_mm"] == pytest.approx(head.volume.slice_position_mm, abs=0.01)
    assert values["probability"] == pytest.approx(scores, abs=0.001)
    assert sum(values["blood_ml"]) == pytest.approx(head.volume.volume_ml(labels > 0), abs=0.05)


def picture(head: SourceSeries, statement: Statement) -> np.ndarray:
    jpeg = key_picture(head, bleed(head), statement)
    assert jpeg is not None
    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB")).astype(int)


def test_the_picture_is_small_square_and_of_the_head_alone(head: SourceSeries) -> None:
    found = picture(head, statement_of(head, bleed(head)))
    assert found.shape == (256, 256, 3)
    assert found[:, 10:-10].max(axis=(1, 2))[[4, -5]].min() > 60  # bone at its upper and lower edge


def test_blood_of_no_type_is_outlined_in_red(head: SourceSeries) -> None:
    unlearned = dict.fromkeys(KEYS, Claim.NOT_TOLD_APART)
    found = picture(head, statement_of(head, bleed(head), claims=unlearned))
    apart = np.abs(found - np.array(BLOOD_RGB)).sum(axis=2)
    assert (apart < 90).sum() > 100


@pytest.mark.parametrize(
    ("row", "column"),
    [((-1, 0, 0), (0, 1, 0)), ((-1, 0, 0), (0, -1, 0)), ((0, 1, 0), (1, 0, 0)),
     ((0, -1, 0), (1, 0, 0))],
    ids=["mirrored", "prone", "on-a-side-mirrored", "on-a-side"],
)  # fmt: skip
def test_the_picture_lies_as_usual_however_the_slices_do(
    row: tuple[int, ...], column: tuple[int, ...]
) -> None:
    hu, labels = np.full((64, 64), 30, np.float32), np.zeros((64, 64), np.uint8)
    hu[4:12, 8:28], labels[40:52, 10:20] = 90, 1  # front and right, behind and right
    said = Statement(Outcome.POSITIVE, 1, "because")
    usual = draw_key(hu, labels, (1, 1), said, sides(np.array([[1, 0, 0], [0, 1, 0]])))
    hu, labels = as_stored(hu, row, column), as_stored(labels, row, column)
    turned = draw_key(hu, labels, (1, 1), said, sides(np.array([row, column])))
    assert np.abs(turned.astype(int) - usual).max() <= 2


def as_stored(values: np.ndarray, row: tuple[int, ...], column: tuple[int, ...]) -> np.ndarray:
    """Lay what is (y, x) in the patient out in rows and columns of these directions."""
    at = np.indices(values.shape) - 31.5
    y, x = (at[0] * column[axis] + at[1] * row[axis] + 31.5 for axis in (1, 0))
    return values[y.astype(int), x.astype(int)]


def test_a_head_without_blood_has_no_picture(head: SourceSeries) -> None:
    none = np.zeros_like(bleed(head))
    assert key_picture(head, none, statement_of(head, none)) is None
