"""How much of the receiver one peer may take, so that none can lock the others out.

Counted by address, because the address is the one thing that a hostile peer cannot choose, and over
all acceptor processes, because a peer cannot choose among them either.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from receiver.access.shared_places import SharedPlaces
from receiver.protocol.rejection import FULL, LOCAL_LIMIT, TOO_FAST, Rejection
from schema.settings import Settings

# An association that is one too many is told so (PS3.8 table 9-21); for that, its request has to be
# read from a connection. Beyond this many times the limit a peer is only hung up on.
CONNECTIONS_PER_ASSOCIATION: Final = 2
EVERYBODY: Final = ""  # the name under which the associations of all peers are counted


@dataclass(frozen=True)
class PeerLimits:
    """What one peer may have: associations at a time, and new ones a minute; and all together."""

    associations: int
    per_minute: float
    in_all: int

    @classmethod
    def of(cls, settings: Settings) -> "PeerLimits":
        """Take the limits from the settings."""
        return cls(
            settings.associations_per_peer,
            settings.associations_per_minute,
            settings.max_associations,
        )

    @property
    def connections(self) -> int:
        """Connections at a time, with or without an association."""
        return self.associations * CONNECTIONS_PER_ASSOCIATION

    @property
    def warning(self) -> str | None:
        """Say in words that one peer can lock out all others; None where it cannot."""
        if self.associations < self.in_all:
            return None
        return (
            "one address may hold every association and lock all others out: "
            f"TRIAGE_ASSOCIATIONS_PER_PEER ({self.associations}) is not below "
            f"TRIAGE_MAX_ASSOCIATIONS ({self.in_all})"
        )


class PeerLimiter:
    """Counts each peer's connections and associations."""

    def __init__(
        self,
        limits: PeerLimits,
        places: SharedPlaces,
        clock: Callable[[], float] = time.monotonic,  # the same in all processes of a host
    ) -> None:
        self.limits = limits
        self.places = places
        self._clock = clock

    def connect(self, peer: str) -> "PeerConnection | None":
        """Count a new connection; None if the peer has too many and is to be hung up on."""
        number = self.places.take(peer, self.limits.connections)
        return None if number is None else PeerConnection(self, peer, number)

    def is_too_fast(self, peer: str) -> bool:
        """Count an association that a peer opens; True if it opened too many lately."""
        return not self.places.spend(peer, self._clock(), self.limits.per_minute)


class PeerConnection:
    """A connection that is counted until it is closed."""

    def __init__(self, limiter: PeerLimiter, peer: str, number: int) -> None:
        self._limiter = limiter
        self._peer = peer
        self._number = number
        self._in_all: int | None = None

    def refuse(self) -> Rejection | None:
        """Say why an association on it would be one too many, or None; then it is counted."""
        if not self._is_within_the_limit():
            return LOCAL_LIMIT
        if self._limiter.is_too_fast(self._peer):
            return TOO_FAST
        limits, places = self._limiter.limits, self._limiter.places
        self._in_all = places.take(EVERYBODY, limits.in_all)
        return FULL if self._in_all is None else None

    def close(self) -> None:
        """Count it no more."""
        self._limiter.places.free(self._peer, self._number)
        if self._in_all is not None:
            self._limiter.places.free(EVERYBODY, self._in_all)

    def _is_within_the_limit(self) -> bool:
        """Say whether its place is one of those with an association, or take one that is free."""
        limits, places = self._limiter.limits, self._limiter.places
        if self._number < limits.associations:
            return True
        lower = places.take(self._peer, limits.associations)
        if lower is None:
            return False
        places.free(self._peer, self._number)
        self._number = lower
        return True
