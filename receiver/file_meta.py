"""The beginning of every stored file: preamble, prefix and File Meta Information (PS3.10 7.1)."""

import struct
from typing import Final

IMPLEMENTATION_CLASS_UID: Final = (
    "2.25.199014898667220630908627209681721771967"  # UUID-derived, PS3.5 B.2
)
IMPLEMENTATION_VERSION_NAME: Final = "IHSNET_TRIAGE_1"

# Zeros: a preamble that a sender chooses can make the file a program (CVE-2019-11687).
PREAMBLE: Final = bytes(128) + b"DICM"
SHORT: Final = struct.Struct("<HH2sH")  # explicit VR little endian, PS3.5 section 7.1.2
LONG: Final = struct.Struct("<HH2sxxL")


def encode_file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Write everything that stands before the dataset."""
    group = b"".join(
        (
            LONG.pack(2, 0x0001, b"OB", 2) + b"\x00\x01",  # File Meta Information Version
            _text(0x0002, b"UI", sop_class_uid),
            _text(0x0003, b"UI", sop_instance_uid),
            _text(0x0010, b"UI", transfer_syntax_uid),
            _text(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    length = SHORT.pack(2, 0x0000, b"UL", 4) + struct.pack("<L", len(group))
    return PREAMBLE + length + group


def _text(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii")
    encoded += (b"\0" if vr == b"UI" else b" ") * (len(encoded) % 2)
    return SHORT.pack(2, element, vr, len(encoded)) + encoded
