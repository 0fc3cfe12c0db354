"""Who an object says it is, read from its first bytes."""

import pytest
from pydicom.uid import ImplicitVRLittleEndian

from receiver.protocol.failure_statuses import IdentityMismatchError
from receiver.protocol.identity import (
    HEAD_BYTES,
    Identity,
    read_identity,
    require_match,
    require_uid,
)
from schema.errors import UnreadableObjectError
from tests.support.scu import CT, EXPLICIT, encode, image


def identify(encoded: bytes, syntax: str = EXPLICIT) -> Identity:
    return read_identity(lambda length: encoded[:length], len(encoded), syntax)


@pytest.mark.parametrize("syntax", [EXPLICIT, ImplicitVRLittleEndian])
def test_the_four_uids_are_read(syntax: str) -> None:
    assert identify(encode(image("1.2.9"), syntax), syntax) == Identity(
        CT, "1.2.9", "1.2.3", "1.2.3.4"
    )


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_head_that_ends_within_a_uid_is_not_believed(cut: int) -> None:
    ds = image("1.2.9", SeriesInstanceUID="1.2.3.4.5.6.7.8.9.10.11.12")
    ds.add_new(0x00090010, "LO", "VENDOR")
    without = len(encode(ds)) + 8
    ds.add_new(0x00091001, "OB", bytes(HEAD_BYTES[0] - without - cut + without % 2))
    assert identify(encode(ds)).series_instance_uid == "1.2.3.4.5.6.7.8.9.10.11.12"


def test_a_dataset_that_ends_with_the_series_uid_is_whole() -> None:
    ds = image("1.2.9")
    encoded = encode(ds)
    assert identify(encoded).series_instance_uid == "1.2.3.4"


@pytest.mark.parametrize("value", ["1", "1.", ".1", "1..2", "1.2a", "1.2 ", "1/2", "", "1.2\n"])
def test_what_is_no_uid_is_refused(value: str) -> None:
    with pytest.raises(UnreadableObjectError):
        require_uid("UID", value)


def test_a_uid_has_at_most_64_characters() -> None:
    require_uid("UID", "1." + "2" * 62)
    with pytest.raises(UnreadableObjectError):
        require_uid("UID", "1." + "2" * 63)


def test_leading_zeros_of_old_scanners_are_let_through() -> None:
    require_uid("UID", "1.02.3")


def test_another_instance_than_announced_is_a_mismatch() -> None:
    identity = Identity(CT, "1.2.9", "1.2.3", "1.2.3.4")
    require_match(identity, CT, "1.2.9")
    with pytest.raises(IdentityMismatchError):
        require_match(identity, CT, "1.2.10")
