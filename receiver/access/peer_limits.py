"""How much of the receiver one peer may take, so that none can lock the others out.

Counted by address, because the address is the one thing that a hostile peer cannot choose. Each
acceptor process counts its share, so that the limits hold without a word between the processes.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from receiver.protocol.rejection import LOCAL_LIMIT, Rejection
from schema.settings import Settings

MINUTE_S: Final = 60.0
# An association that is one too many is told so (PS3.8 table 9-21); for that, its request has to be
# read from a connection. Beyond this many times the limit a peer is only hung up on.
CONNECTIONS_PER_ASSOCIATION: Final = 2
FORGET_ABOVE: Final = 10_000  # peers; one that was idle for a minute has a full bucket anyway


@dataclass(frozen=True)
class PeerLimits:
    """What one peer may have: associations at a time, and new ones a minute."""

    associations: int
    per_minute: float

    @classmethod
    def of(cls, settings: Settings) -> "PeerLimits":
        """Take one process's share of the limits in the settings."""
        shares = settings.acceptor_count
        per_minute = max(settings.associations_per_minute / shares, 1)
        return cls(-(-settings.associations_per_peer // shares), per_minute)

    @property
    def connections(self) -> int:
        """Connections at a time, with or without an association."""
        return self.associations * CONNECTIONS_PER_ASSOCIATION


@dataclass(frozen=True)
class Bucket:
    """Associations that a peer may open at once; refills with time, up to a minute's worth."""

    tokens: float
    at_s: float

    def refilled(self, now_s: float, per_minute: float) -> "Bucket":
        """Give the bucket as it is now."""
        grown = self.tokens + (now_s - self.at_s) * per_minute / MINUTE_S
        return Bucket(min(grown, per_minute), now_s)

    def taken(self) -> "Bucket | None":
        """Give the bucket with one association less, or None if it is empty."""
        return None if self.tokens < 1 else Bucket(self.tokens - 1, self.at_s)


class PeerLimiter:
    """Counts each peer's connections and associations."""

    def __init__(self, limits: PeerLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._connections: dict[str, int] = {}
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def connect(self, peer: str) -> bool:
        """Count a new connection; False if the peer has too many and is to be hung up on."""
        with self._lock:
            count = self._connections.get(peer, 0)
            if count >= self._limits.connections:
                return False
            self._connections[peer] = count + 1
            return True

    def disconnect(self, peer: str) -> None:
        """Count a connection that is over."""
        with self._lock:
            left = self._connections.get(peer, 0) - 1
            if left > 0:
                self._connections[peer] = left
            else:
                self._connections.pop(peer, None)

    def refuse(self, peer: str) -> Rejection | None:
        """Say why a connected peer's association is one too many, or None."""
        with self._lock:
            if self._connections.get(peer, 0) > self._limits.associations:
                return LOCAL_LIMIT
            return None if self._take(peer) else LOCAL_LIMIT

    def _take(self, peer: str) -> bool:
        now_s, per_minute = self._clock(), self._limits.per_minute
        if len(self._buckets) > FORGET_ABOVE:
            self._forget(now_s)
        bucket = self._buckets.get(peer, Bucket(per_minute, now_s)).refilled(now_s, per_minute)
        taken = bucket.taken()
        self._buckets[peer] = taken or bucket
        return taken is not None

    def _forget(self, now_s: float) -> None:
        self._buckets = {
            peer: bucket for peer, bucket in self._buckets.items() if now_s - bucket.at_s < MINUTE_S
        }
