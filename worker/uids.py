"""UIDs that follow from what an object holds, so that a re-run never makes a second copy."""

import hashlib
from functools import cache
from importlib.metadata import version
from typing import Final

DISTRIBUTION: Final = "ihsnet-triage"


def stable_uid(*parts: str | bytes) -> str:
    """Return a UID under the UUID-derived root 2.25 (PS3.5 B.2) that depends on `parts` alone.

    A version 8 UUID (RFC 9562): 122 bits of a SHA-256 over the parts, each with its length, so that
    no two lists of parts run together.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    bits = int.from_bytes(digest.digest()[:16], "big")
    bits = bits & ~(0xF << 76) | (0x8 << 76)  # version
    bits = bits & ~(0x3 << 62) | (0x2 << 62)  # variant
    return f"2.25.{bits}"


@cache  # read from disk otherwise, and asked for eighteen times a study
def software_version() -> str:
    """Return the version of this software, for every object that it writes."""
    return version(DISTRIBUTION)
