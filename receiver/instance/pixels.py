"""Pixel Data as bytes in a stored file: where it ends, and what must not stand behind it."""

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from receiver.instance.header import PIXELS, read_header
from receiver.protocol.ascending import Ascending
from receiver.protocol.values import MALFORMED
from schema.dicom import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from schema.errors import UnreadableObjectError

NATIVE: Final = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
TAG: Final = struct.Struct("<HH")
LENGTH: Final = struct.Struct("<L")
PIECE_BYTES: Final = 65_536
UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000  # PS3.5 section 7.5
SEQUENCE_END: Final = 0xFFFEE0DD


def require_end(file: BinaryIO, transfer_syntax_uid: str) -> None:
    """Refuse what stands behind the pixels and does not belong there.

    Parameters
    ----------
    file
        Stands before the pixels, or at its end.

    Raises
    ------
    UnreadableObjectError
        If an element behind the pixels belongs before them, such as a second UID.
    """
    implicit = transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN
    tag = _skip_pixels(file, implicit=implicit)
    if tag is None or _only_zeros_follow(file):  # as routers fill up a block
        return
    try:
        read_dataset(file, implicit, True, stop_when=Ascending(tag), specific_tags=[ITEM])
    except UnreadableObjectError:
        raise
    except MALFORMED as error:
        reason = f"what follows its pixels cannot be read: {type(error).__name__}"
        raise UnreadableObjectError(reason) from error


def same_pixels(first: Path, second: Path) -> bool | None:
    """Compare the stored values of two files; None where one is compressed or cannot be read."""
    try:
        digests = [_digest(path) for path in (first, second)]
    except (UnreadableObjectError, InvalidDicomError, *MALFORMED):
        return None
    return None if None in digests else digests[0] == digests[1]


def _digest(path: Path) -> bytes | None:
    syntax = UID(read_file_meta_info(path).TransferSyntaxUID)
    if syntax not in NATIVE:
        return None
    with path.open("rb") as file:
        read_header(file)
        _, length = _enter_pixels(file, implicit=syntax == IMPLICIT_VR_LITTLE_ENDIAN)
        return hashlib.sha256(file.read(length)).digest()


def _skip_pixels(file: BinaryIO, *, implicit: bool) -> int | None:
    """Go behind the pixels; give their tag, None if there are none."""
    tag, length = _enter_pixels(file, implicit=implicit)
    if tag is None:
        return None
    if length != UNDEFINED:
        file.seek(length, 1)
        return tag
    while True:  # fragments, each with its length (PS3.5 annex A.4)
        item = file.read(8)
        if len(item) < 8:
            return None  # torn: nothing follows
        found = _tag(item)
        if found == SEQUENCE_END:
            return tag
        if found != ITEM:
            raise UnreadableObjectError("its Pixel Data is no sequence of fragments")
        file.seek(LENGTH.unpack_from(item, 4)[0], 1)


def _only_zeros_follow(file: BinaryIO) -> bool:
    """Look to the end of the file; it stands where it stood unless that is all."""
    behind = file.tell()
    while piece := file.read(PIECE_BYTES):
        if piece.strip(b"\0"):
            file.seek(behind)
            return False
    return True


def _enter_pixels(file: BinaryIO, *, implicit: bool) -> tuple[int | None, int]:
    """Read the tag and the length of the pixels; None and 0 at the end of a file without any."""
    header = file.read(8)
    if len(header) < 8:
        return None, 0
    tag = _tag(header)
    if tag not in PIXELS:
        raise UnreadableObjectError("its Pixel Data is not where it belongs")
    if implicit:
        return tag, int(LENGTH.unpack_from(header, 4)[0])
    if header[4:6].decode("latin-1") in EXPLICIT_VR_LENGTH_32:
        return tag, int.from_bytes(file.read(4), "little")
    return tag, int.from_bytes(header[6:8], "little")


def _tag(header: bytes) -> int:
    group, element = TAG.unpack_from(header)
    return int(group << 16 | element)
