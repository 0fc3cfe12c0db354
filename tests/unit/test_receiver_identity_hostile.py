"""What fuzzing found: bytes that pydicom reads lazily and then cannot."""

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from receiver.protocol.identity import read_identity
from schema.errors import UnreadableObjectError, describe
from tests.support.scu import encode, image


@pytest.mark.parametrize("vr", [b"I\x1a", b"US", b"SQ", b"\xff\xff"])
def test_a_uid_with_another_value_representation_is_refused(vr: bytes) -> None:
    content = encode(image("1.2.3.4")).replace(b"\x08\0\x16\0UI", b"\x08\0\x16\0" + vr)
    with pytest.raises(UnreadableObjectError):
        read_identity(lambda length: content[:length], len(content), ExplicitVRLittleEndian)


def test_the_log_says_where_an_unforeseen_error_came_from_and_quotes_nothing() -> None:
    try:
        int("Quillfeather^Dorothea")
    except ValueError as error:
        said = describe(error)
    assert said.startswith("ValueError < test_receiver_identity_hostile.py:")
    assert "Quillfeather" not in said
