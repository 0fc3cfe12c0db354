"""Which lists somebody was shown of late: a list that keeps itself current is one message."""

import threading
import time
from collections.abc import Callable

AGAIN_S = 900.0
MOST_KEPT = 10_000


class Shown:
    """Remembers for a while who was shown what, for the audit trail."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told_at: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def is_new(self, *what: str) -> bool:
        """Whether it is to be told; then it counts as told from now on."""
        with self._lock:
            now = self._clock()
            if now - self._told_at.get(what, float("-inf")) < AGAIN_S:
                return False
            if len(self._told_at) >= MOST_KEPT:
                self._told_at.clear()  # told twice is better than not at all
            self._told_at[what] = now
            return True
