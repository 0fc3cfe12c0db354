"""Reading a header: what is there, what is missing, and what is garbage."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from receiver.instance.header import Header, read_header
from schema.errors import UnreadableObjectError
from tests.support.phantoms import Phantom, element
from tests.support.series import datasets, headers, write

HEAD = {"desc": "Head", "kernel": "Hr40f\\3", "type": "ORIGINAL\\PRIMARY\\AXIAL", "count": 1}


def header(**attributes: object) -> Header:
    (ds,) = datasets(HEAD)
    for keyword, value in attributes.items():
        ds[keyword] = element(keyword, value)
    return headers([ds])[0]


def test_a_kernel_of_two_values_is_one_text() -> None:
    assert header().kernel == "Hr40f\\3"


def test_an_agent_comes_with_its_volume_and_route() -> None:
    given_agent = header(
        ContrastBolusAgent="Ultravist", ContrastBolusVolume="80", ContrastBolusRoute="IV"
    )
    assert given_agent.contrast_agent == "Ultravist 80 mL IV"


def test_a_volume_of_zero_is_no_agent() -> None:
    assert header(ContrastBolusVolume="0").contrast_agent == ""


@pytest.mark.parametrize("value", ["nan", "1e400", "1\\2"])
def test_a_number_that_is_none_counts_as_missing(value: str) -> None:
    assert header(SliceThickness=value).slice_thickness_mm is None


def test_letters_where_a_number_belongs_count_as_missing(tmp_path: Path) -> None:
    (path,) = write(datasets(HEAD | {"attributes": {"SliceThickness": "5.55"}}), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"5.55", b"much"))
    assert read_header(path).slice_thickness_mm is None


def test_a_name_with_line_ends_is_one_line() -> None:
    assert header(SeriesDescription="Head\n\x00\x1b[2J").series_description == "Head[2J"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("山田\u3000太郎", "山田 太郎"),
        ("De\u00a0La\u2009Cruz^Ana", "De La Cruz^Ana"),
        ("نیک\u200cپی", "نیک\u200cپی"),
        ("क्\u200dष", "क्\u200dष"),
        ("Doe\u202e^\u2066Jane", "Doe^Jane"),  # what would turn the rest of a line around
    ],
)
def test_a_name_keeps_its_spaces_and_joiners_in_any_script(written: str, kept: str) -> None:
    assert header(PatientName=written).patient_name == kept


def test_an_image_type_has_nothing_that_a_database_refuses() -> None:
    image_type = header(ImageType=f"derived\\SECON\x00ARY\\{'A' * 300}").image_type
    assert image_type == ("DERIVED", "SECONARY", "A" * 256)


def test_a_multi_frame_object_has_a_position_for_each_frame() -> None:
    (multi,) = headers([Phantom((0.0, 5.0, 10.0), size=8).enhanced])
    assert [position[2] for position in multi.image_position_mm] == pytest.approx([0, 5, 10])
    assert multi.image_type[:3] == ("ORIGINAL", "PRIMARY", "AXIAL")


def test_a_mixed_image_type_is_that_of_the_first_frame() -> None:
    ds = Phantom((0.0, 5.0), size=8).enhanced
    ds.ImageType = ["ORIGINAL", "PRIMARY", "MIXED", "NONE"]
    assert headers([ds])[0].image_type[2] == "AXIAL"


def test_the_region_of_an_enhanced_ct_is_its_body_part() -> None:
    ds = Phantom((0.0, 5.0), size=8).enhanced
    del ds.BodyPartExamined
    code, anatomy = Dataset(), Dataset()
    code.CodeMeaning = "Head"
    anatomy.AnatomicRegionSequence = [code]
    ds.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]
    assert headers([ds])[0].body_part == "Head"


def test_an_object_without_its_uids_is_unreadable(tmp_path: Path) -> None:
    (ds,) = datasets(HEAD)
    (path,) = write([ds], tmp_path)
    del ds.SeriesInstanceUID
    ds.save_as(path, enforce_file_format=True)
    with pytest.raises(UnreadableObjectError):
        read_header(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_flipped_byte_leaves_a_header_or_an_error_that_we_know(
    tmp_path: Path, data: st.DataObject
) -> None:
    (path,) = write(datasets(HEAD), tmp_path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(UnreadableObjectError):
        read_header(path)
