"""An element twice, or in the wrong place, is refused: two readers would see two objects."""

from io import BytesIO
from pathlib import Path

import pytest

from receiver.instance.header import read_header
from receiver.instance.pixels import same_pixels
from receiver.instance.stored import read_stored
from receiver.protocol.file_meta import encode_file_meta
from receiver.protocol.identity import read_identity
from schema.errors import UnreadableObjectError
from tests.support.scu import CT, EXPLICIT, encode, image

IMPLICIT = "1.2.840.10008.1.2"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
SYNTAXES = (EXPLICIT, IMPLICIT, JPEG_LOSSLESS)
PADDING = b"\xfc\xff\xfc\xffOB\0\0\x02\0\0\0\0\0"  # (FFFC,FFFC), which may follow Pixel Data


def stored(folder: Path, content: bytes, syntax: str = EXPLICIT, name: str = "1.dcm") -> Path:
    path = folder / name
    path.write_bytes(encode_file_meta(CT, "1.2.9", syntax) + content)
    return path


def with_pixels(syntax: str = EXPLICIT, pixels: bytes = b"\1\2\3\4") -> bytes:
    ds = image("1.2.9")
    ds.add_new("PixelData", "OW", pixels)
    return encode(ds, syntax)


def element(tag: bytes, value: bytes, syntax: str = EXPLICIT) -> bytes:
    length = len(value)
    if syntax == IMPLICIT:
        return tag + length.to_bytes(4, "little") + value
    return tag + b"UI" + length.to_bytes(2, "little") + value


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_an_object_with_pixels_is_read(tmp_path: Path, syntax: str) -> None:
    found = read_stored(stored(tmp_path, with_pixels(syntax), syntax), None)
    assert found.header.identity.sop_instance_uid == "1.2.9"


def test_padding_behind_the_pixels_is_let_through(tmp_path: Path) -> None:
    assert read_stored(stored(tmp_path, with_pixels() + PADDING), None).size_bytes


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("zeros", [1, 8, 512, 70_000])
def test_zeros_that_fill_a_block_are_let_through(tmp_path: Path, zeros: int, syntax: str) -> None:
    assert read_stored(stored(tmp_path, with_pixels(syntax) + bytes(zeros), syntax), None)


def test_a_second_uid_behind_zeros_is_refused(tmp_path: Path) -> None:
    content = with_pixels() + bytes(512) + element(b"\x08\0\x18\0", b"1.2.666\0")
    with pytest.raises(UnreadableObjectError, match="ascending"):
        read_stored(stored(tmp_path, content), None)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("tag", [b"\x08\0\x18\0", b"\x20\0\x0d\0", b"\x20\0\x0e\0"])
def test_a_second_uid_behind_the_pixels_is_refused(tmp_path: Path, tag: bytes, syntax: str) -> None:
    content = with_pixels(syntax) + element(tag, b"1.2.666\0", syntax)
    with pytest.raises(UnreadableObjectError, match="ascending"):
        read_stored(stored(tmp_path, content, syntax), None)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_second_uid_before_the_pixels_is_refused(tmp_path: Path, syntax: str) -> None:
    content = encode(image("1.2.9"), syntax) + element(b"\x08\0\x18\0", b"1.2.666\0", syntax)
    with pytest.raises(UnreadableObjectError, match="ascending"):
        read_stored(stored(tmp_path, content, syntax), None)


def test_a_uid_that_comes_twice_is_refused_before_it_is_answered() -> None:
    content = element(b"\x08\0\x18\0", b"1.2.666\0") + encode(image("1.2.9"))
    with pytest.raises(UnreadableObjectError, match="ascending"):
        read_identity(lambda length: content[:length], len(content), EXPLICIT)


def test_fragments_that_end_early_are_kept_for_the_worker_to_refuse(tmp_path: Path) -> None:
    content = with_pixels(JPEG_LOSSLESS)[:-20]
    assert read_stored(stored(tmp_path, content, JPEG_LOSSLESS), None).size_bytes


def test_pixels_are_compared_whatever_the_encoding_around_them(tmp_path: Path) -> None:
    one = stored(tmp_path, with_pixels(EXPLICIT), EXPLICIT, "1.dcm")
    same = stored(tmp_path, with_pixels(IMPLICIT), IMPLICIT, "2.dcm")
    other = stored(tmp_path, with_pixels(IMPLICIT, b"\1\2\3\5"), IMPLICIT, "3.dcm")
    packed = stored(tmp_path, with_pixels(JPEG_LOSSLESS), JPEG_LOSSLESS, "4.dcm")
    assert same_pixels(one, same) is True
    assert same_pixels(one, other) is False
    assert same_pixels(one, packed) is None
    assert same_pixels(one, tmp_path / "missing.dcm") is None


def test_the_file_stands_at_its_pixels_after_the_header() -> None:
    file = BytesIO(encode_file_meta(CT, "1.2.9", EXPLICIT) + with_pixels())
    read_header(file)
    assert file.read(4) == b"\xe0\x7f\x10\0"
