"""A header goes into a row and comes back the same."""

import json
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from receiver.instance.columns import header_column, header_from
from receiver.instance.header import Header
from tests.support.series import datasets, headers

HEAD = {"desc": "Head", "plane": "axial"}
RELEASED = {
    "patient_id", "patient_name", "accession_number", "study_date", "study_description",
    "modality", "series_description", "protocol_name", "body_part", "image_type", "kernel",
    "contrast_agent", "burned_in", "quality_control", "multi_energy", "rescale_type", "kvp",
    "acquired", "rows", "columns", "image_position_mm", "orientations", "spacing_mm",
    "slice_thickness_mm", "patient_birth_date", "patient_sex", "study_time", "station_name",
    "device", "issuer_of_patient_id",
}  # fmt: skip


def through_a_row(header: Header) -> Header:
    column = json.loads(json.dumps(header_column(header)))
    return header_from(header.identity, header.transfer_syntax_uid, column)


def test_a_header_survives_its_row() -> None:
    for header in headers(datasets(HEAD)):
        assert through_a_row(header) == header


@given(positions=st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(0, 1))))
def test_every_frame_keeps_its_position(positions: list[tuple[float, ...]]) -> None:
    (first, *_) = headers(datasets(HEAD))
    header = Header(first.identity, "1.2", image_position_mm=tuple(positions))
    assert through_a_row(header) == header


def test_what_is_empty_takes_no_room() -> None:
    (first, *_) = headers(datasets(HEAD))
    assert header_column(Header(first.identity, "1.2")) == {}


def test_what_a_later_release_wrote_into_a_row_is_passed_over() -> None:
    (first, *_) = headers(datasets(HEAD))
    column = header_column(first) | {"of_a_later_release": [1, 2]}
    assert header_from(first.identity, first.transfer_syntax_uid, column) == first


def test_a_row_has_no_name_that_release_0_1_0_does_not_read() -> None:
    """It makes a header of every name in the column, and stops at one that it does not know."""
    names = {field.name for field in fields(Header)} - {
        "identity", "transfer_syntax_uid", "series_number", "requested",
    }  # fmt: skip
    assert names == RELEASED
