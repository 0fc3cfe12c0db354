"""What all acceptor processes count together: places that are taken, and buckets that fill again.

Everything lies in one file without a name that the processes inherit. A place is a byte of it and
taking it a lock on that byte (fcntl(2)), so the kernel frees those of a process that died, however
it died. The locks need no content: they lie far beyond the end of the file.
"""

import fcntl
import hashlib
import os
import secrets
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEY_BYTES: Final = 16
BUCKETS: Final = 65536
BUCKET: Final = struct.Struct("=dd")
BEYOND_THE_END: Final = 1 << 60
MOST_PLACES: Final = 1 << 12  # of one peer
MINUTE_S: Final = 60.0


def make_places() -> int:
    """Make the file; give its descriptor, with which others count along."""
    descriptor, path = tempfile.mkstemp(prefix="ihsnet-places-")
    Path(path).unlink()
    # A secret, so that nobody can look for an address whose bucket is a scanner's.
    os.write(descriptor, secrets.token_bytes(KEY_BYTES))
    os.truncate(descriptor, KEY_BYTES + BUCKETS * BUCKET.size)
    return descriptor


@dataclass(frozen=True)
class Bucket:
    """Associations that a peer may open at once; refills with time, up to a minute's worth."""

    tokens: float
    at_s: float

    def refilled(self, now_s: float, per_minute: float) -> "Bucket":
        """Give the bucket as it is now."""
        grown = self.tokens + max(now_s - self.at_s, 0) * per_minute / MINUTE_S
        return Bucket(min(grown, per_minute), now_s)

    def taken(self) -> "Bucket | None":
        """Give the bucket with one association less, or None if it is empty."""
        return None if self.tokens < 1 else Bucket(self.tokens - 1, self.at_s)


class SharedPlaces:
    """One process's hand on the file; its descriptor stays open, since closing it frees all."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._key = os.pread(descriptor, KEY_BYTES, 0)
        self._own: set[int] = set()  # a process is not stopped by its own locks
        self._lock = threading.Lock()

    def take(self, name: str, count: int) -> int | None:
        """Take the lowest free place of a name, from 0 up to `count`; None if all are taken."""
        first = self._first(name)
        with self._lock:
            for place in range(first, first + count):
                if place not in self._own and self._locked(place):
                    self._own.add(place)
                    return place - first
        return None

    def free(self, name: str, number: int) -> None:
        """Let go of a place that was taken."""
        place = self._first(name) + number
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, place)
            self._own.discard(place)

    def spend(self, name: str, now_s: float, per_minute: float) -> bool:
        """Take a token out of a name's bucket; False if it is empty."""
        index = int.from_bytes(self._digest(name)[:2], "big")
        at = KEY_BYTES + index * BUCKET.size
        with self._lock, self._held(at):
            tokens, at_s = BUCKET.unpack(os.pread(self._descriptor, BUCKET.size, at))
            known = Bucket(tokens, at_s) if at_s else Bucket(per_minute, now_s)
            bucket = known.refilled(now_s, per_minute)
            left = bucket.taken()
            kept = left or bucket
            os.pwrite(self._descriptor, BUCKET.pack(kept.tokens, kept.at_s), at)
        return left is not None

    def _locked(self, place: int) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # fcntl(2): either says that another holds it
            return False
        return True

    @contextmanager
    def _held(self, at: int) -> Iterator[None]:
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, BUCKET.size, at)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, BUCKET.size, at)

    def _first(self, name: str) -> int:
        return BEYOND_THE_END + int.from_bytes(self._digest(name), "big") * MOST_PLACES

    def _digest(self, name: str) -> bytes:
        return hashlib.blake2b(name.encode(), key=self._key, digest_size=5).digest()
