"""What the worker says of a series tells one that is no plain head from one that was not read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from schema.errors import UnsuitableSeriesError
from schema.reason_words import is_ruled_out
from tests.support.phantoms import FEW_MM, Phantom, element, write
from worker.look.contrast import Contrast
from worker.look.marks import refusal
from worker.look.section import Section
from worker.look.series_look import Look
from worker.look.strangers import describe
from worker.slices import read_series


@pytest.mark.parametrize(
    "seen",
    [Look(is_head=False, seen="a knee"), Look(is_head=True, contrast=Contrast.ENHANCED)],
    ids=["no head", "contrast"],
)
def test_what_the_look_refuses_is_ruled_out(seen: Look) -> None:
    assert is_ruled_out(refusal(seen))


def section(enclosed_cm2: float, enclosed_hu: float) -> Section:
    hu = np.full((200, 200), 40, np.float32)
    hu[:40] = -1000
    nothing = np.zeros_like(hu, bool)
    return Section(hu, nothing, nothing, enclosed_cm2, enclosed_hu, closed=False)


@pytest.mark.parametrize("enclosed_hu", [-90.0, 11.0, 51.0, 183.0, 1064.0])
def test_a_skull_whose_values_are_no_hounsfield_units_is_a_head(enclosed_hu: float) -> None:
    said = refusal(Look(is_head=False, seen=describe([section(60.0, enclosed_hu)])))
    assert said.endswith("send the original series")
    assert not is_ruled_out(said)


@pytest.mark.parametrize(
    ("enclosed_cm2", "enclosed_hu"), [(59.0, 183.0), (60.0, 30.0), (0.0, np.nan)]
)
def test_bone_that_encloses_little_or_what_has_the_values_of_brain_is_ruled_out(
    enclosed_cm2: float, enclosed_hu: float
) -> None:
    described = describe([section(enclosed_cm2, enclosed_hu)])
    assert is_ruled_out(refusal(Look(is_head=False, seen=described)))


def test_values_without_fat_or_air_are_no_hounsfield_units_and_may_be_a_head() -> None:
    shown = section(5.0, 30.0)
    raw = replace(shown, hu=shown.hu + 1000)
    assert is_ruled_out(refusal(Look(is_head=False, seen=describe([shown]))))
    assert not is_ruled_out(refusal(Look(is_head=False, seen=describe([raw]))))


def test_what_the_release_before_said_of_such_a_skull_rules_it_out_no_more() -> None:
    said = "92 cm2: no Hounsfield units, as of a cone beam, in a body of 324 cm2"
    assert not is_ruled_out(f"{said}; send the head as its own series")


@pytest.mark.parametrize(
    ("keyword", "value", "ruled_out"),
    [
        ("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], True),
        ("SOPClassUID", SecondaryCaptureImageStorage, True),
        ("PixelData", b"\0\0", False),
        ("ImagePositionPatient", ["0", "0", "nan"], False),
        ("RescaleType", "GRAY", False),  # a head whose values nobody knows is a head
        ("Rows", 63, False),
    ],
)
def test_other_kinds_of_images_are_ruled_out_and_damaged_ones_are_not(
    keyword: str, value: object, ruled_out: bool, tmp_path: Path
) -> None:
    datasets = Phantom(FEW_MM).datasets
    for ds in datasets:
        ds[keyword] = element(keyword, value)
    with pytest.raises(UnsuitableSeriesError) as refused:
        read_series(write(datasets, tmp_path))
    assert is_ruled_out(str(refused.value)) is ruled_out


def test_two_slices_in_one_place_rule_nothing_out(tmp_path: Path) -> None:
    datasets = Phantom(FEW_MM).datasets
    datasets[1].ImagePositionPatient = datasets[0].ImagePositionPatient
    with pytest.raises(UnsuitableSeriesError, match="same position") as refused:
        read_series(write(datasets, tmp_path))
    assert not is_ruled_out(str(refused.value))
