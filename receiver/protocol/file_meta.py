"""The beginning of every stored file: preamble, prefix and File Meta Information (PS3.10 7.1)."""

import hashlib
import struct
from pathlib import Path
from typing import BinaryIO, Final

IMPLEMENTATION_CLASS_UID: Final = (
    "2.25.199014898667220630908627209681721771967"  # UUID-derived, PS3.5 B.2
)
IMPLEMENTATION_VERSION_NAME: Final = "IHSNET_TRIAGE_1"

# Zeros: a preamble that a sender chooses can make the file a program (CVE-2019-11687).
PREAMBLE: Final = bytes(128) + b"DICM"
SHORT: Final = struct.Struct("<HH2sH")  # explicit VR little endian, PS3.5 section 7.1.2
LONG: Final = struct.Struct("<HH2sxxL")
META_LENGTH_OFFSET: Final = 140  # value of (0002,0000), behind preamble, DICM, tag, VR and length
DIGEST_BYTES: Final = hashlib.sha256().digest_size
UNSEALED: Final = bytes(DIGEST_BYTES)
SEAL_HEADER: Final = LONG.pack(2, 0x0102, b"OB", DIGEST_BYTES)


def encode_file_meta(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, called_ae: str = ""
) -> bytes:
    """Write everything that stands before the dataset.

    The last 32 bytes are the place of the dataset's SHA-256, in Private Information (0002,0102);
    they are zero until the dataset is complete.
    """
    group = b"".join(
        (
            LONG.pack(2, 0x0001, b"OB", 2) + b"\x00\x01",  # File Meta Information Version
            _text(0x0002, b"UI", sop_class_uid),
            _text(0x0003, b"UI", sop_instance_uid),
            _text(0x0010, b"UI", transfer_syntax_uid),
            _text(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _text(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            # Receiving Application Entity Title: by which of our titles it was sent.
            _text(0x0018, b"AE", called_ae) if called_ae else b"",
            _text(0x0100, b"UI", IMPLEMENTATION_CLASS_UID),  # Private Information Creator UID
            SEAL_HEADER + UNSEALED,
        )
    )
    length = SHORT.pack(2, 0x0000, b"UL", 4) + struct.pack("<L", len(group))
    return PREAMBLE + length + group


def read_seal(file: BinaryIO) -> bytes | None:
    """Read the SHA-256 that a file of ours says its dataset has, and stop at the dataset.

    Returns
    -------
    bytes | None
        None if the file has no seal, because another program wrote it.
    """
    file.seek(META_LENGTH_OFFSET)
    end = META_LENGTH_OFFSET + 4 + int.from_bytes(file.read(4), "little")
    file.seek(max(end - len(SEAL_HEADER) - DIGEST_BYTES, 0))
    header, digest = file.read(len(SEAL_HEADER)), file.read(DIGEST_BYTES)
    file.seek(end)
    return digest if header == SEAL_HEADER and digest != UNSEALED else None


def digest_matches(path: Path) -> bool:
    """Say whether a file was sealed and holds the dataset that it was sealed with."""
    with path.open("rb") as file:
        seal = read_seal(file)
        return seal is not None and hashlib.file_digest(file, "sha256").digest() == seal


def _text(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii", "replace")
    encoded += (b"\0" if vr == b"UI" else b" ") * (len(encoded) % 2)
    return SHORT.pack(2, element, vr, len(encoded)) + encoded
