"""What the worker says of a series tells one that is no plain head from one that was not read."""

from pathlib import Path

import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from schema.errors import UnsuitableSeriesError
from schema.ruled_out import is_ruled_out
from tests.support.phantoms import FEW_MM, Phantom, element, write
from worker.look.contrast import Contrast
from worker.look.marks import refusal
from worker.look.series_look import Look
from worker.slices import read_series


@pytest.mark.parametrize(
    "seen",
    [Look(is_head=False, seen="a knee"), Look(is_head=True, contrast=Contrast.ENHANCED)],
    ids=["no head", "contrast"],
)
def test_what_the_look_refuses_is_ruled_out(seen: Look) -> None:
    assert is_ruled_out(refusal(seen))


@pytest.mark.parametrize(
    ("keyword", "value", "ruled_out"),
    [
        ("ImageType", ["DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"], True),
        ("SOPClassUID", SecondaryCaptureImageStorage, True),
        ("PixelData", b"\0\0", False),
        ("ImagePositionPatient", ["0", "0", "nan"], False),
        ("RescaleType", "US", False),  # a head whose values nobody knows is a head
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
