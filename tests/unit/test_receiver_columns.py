"""A header goes into a row and comes back the same."""

import json

from hypothesis import given
from hypothesis import strategies as st

from receiver.instance.columns import header_column, header_from
from receiver.instance.header import Header
from tests.support.series import datasets, headers

HEAD = {"desc": "Head", "plane": "axial"}


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
