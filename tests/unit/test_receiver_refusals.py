"""What the selection says of a series tells a head that it refused from one that shows none."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset

from receiver.catalogue.strangers import Strangers
from receiver.dispatch.planner import Planner
from receiver.selection.images import Selection, select_images
from receiver.selection.rules import load_rules
from schema.reason_words import UNDECIDED, may_be_a_head
from tests.support.series import datasets, headers

RULES = load_rules()
HEAD = {"desc": "Head 5.0", "kernel": "H31s", "type": "ORIGINAL\\PRIMARY\\AXIAL", "part": "HEAD"}


def selected(objects: Sequence[Dataset]) -> Selection:
    for number, ds in enumerate(objects):
        ds.SOPInstanceUID = f"1.2.3.{number + 1}"
    return select_images(headers(objects), RULES)


def without_a_position() -> list[Dataset]:
    objects = datasets(HEAD)
    del objects[3].ImagePositionPatient
    return objects


def without_any_position() -> list[Dataset]:
    objects = datasets(HEAD)
    for ds in objects:
        del ds.ImagePositionPatient
    return objects


def of_many_kinds() -> list[Dataset]:
    objects = datasets(HEAD | {"count": 80})
    for number, ds in enumerate(objects):
        ds.PixelSpacing = [0.4 + number / 100, 0.4]
    return objects


def with_wide_pixels() -> list[Dataset]:
    objects = datasets(HEAD)
    for ds in objects:
        ds.PixelSpacing = [1.3, 1.3]
    return objects


def in_two_boxes() -> list[Dataset]:
    lower, upper = datasets(HEAD | {"count": 16}), datasets(HEAD)[16:]
    for ds in upper:
        ds.PixelSpacing = [0.6, 0.6]
    return lower + upper


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (list, "no readable object"),
        (without_a_position, "1 of 32 images: no usable position or orientation"),
        (without_any_position, "no usable position or orientation"),
        (of_many_kinds, "kinds of images"),
        (with_wide_pixels, "pixel spacing outside"),
        (in_two_boxes, "part of the head would go unread"),
        (lambda: datasets(HEAD) + datasets(HEAD), "several images at one position"),
        (lambda: datasets(HEAD | {"rescale": "GRAY"}), "values are GRAY, not HU"),
    ],
)
def test_how_images_came_says_nothing_of_what_they_show(
    build: Callable[[], list[Dataset]], words: str
) -> None:
    selection = selected(build())
    assert selection.score is None
    assert words in selection.reason
    assert may_be_a_head(selection.reason)


def test_a_series_that_nobody_could_decide_on_may_be_a_head() -> None:
    assert may_be_a_head(UNDECIDED)


def test_thousands_of_images_are_no_head_such_as_a_perfusion_beside_it() -> None:
    planner = SimpleNamespace(_rules=RULES)
    refused = Planner._select_images(planner, range(RULES.stack.max_objects + 1), [])  # type: ignore[arg-type]
    assert refused.score is None
    assert not may_be_a_head(refused.reason)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ({"sop": "SecondaryCaptureImageStorage"}, "not a CT image"),
        ({"type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "image type LOCALIZER"),
        ({"kernel": "H70h"}, "sharp kernel"),
        ({"plane": "sagittal"}, "not axial"),
        ({"count": 5}, "fewer than 6"),
        ({"count": 90}, "more than 350 mm"),
        ({"step_mm": 0.5}, "less than 25 mm"),
        ({"rescale": "Z_EFF"}, "a map of Z_EFF, not HU"),
    ],
)
def test_what_shows_no_head_is_none(what: dict[str, object], words: str) -> None:
    selection = selected(datasets(HEAD | what))
    assert words in selection.reason
    assert not may_be_a_head(selection.reason)


@pytest.mark.parametrize("written", ["", "HU", "US", "hu", " Hounsfield"])
def test_values_that_may_be_hounsfield_units_are_left_to_the_look(written: str) -> None:
    assert selected(datasets(HEAD | {"rescale": written})).score is not None


@pytest.mark.parametrize("count", [4, 30])
def test_a_head_among_or_of_strangers_went_unread(count: int) -> None:
    assert may_be_a_head(str(Strangers(count, 30, "patient ID")))


def test_a_time_series_is_no_plain_head() -> None:
    passes = [ds for number in range(5) for ds in acquired(number)]
    selection = selected(passes)
    assert "a time series" in selection.reason
    assert not may_be_a_head(selection.reason)


def acquired(number: int) -> list[Dataset]:
    objects = datasets(HEAD)
    for ds in objects:
        ds.AcquisitionNumber = number
    return objects
