"""How often somebody may try to log in: a few wrong passwords, then a wait."""

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable

WITHIN_S = 300.0
MOST_OF_A_NAME = 8
MOST_OF_AN_ADDRESS = 30  # a reading room may share one
MOST_KEPT = 10_000


class Attempts:
    """Counts failures by name and by address over the last minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allowed(self, name: str, address: str) -> bool:
        """Whether another try is heard at all."""
        with self._lock:
            return (
                self._recent(f"name {name}") < MOST_OF_A_NAME
                and self._recent(f"address {address}") < MOST_OF_AN_ADDRESS
            )

    def failed(self, name: str, address: str) -> None:
        """Count a wrong password."""
        with self._lock:
            if len(self._failures) > MOST_KEPT:
                self._forget_old()
            for key in (f"name {name}", f"address {address}"):
                self._failures[key].append(self._clock())

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name; those of its address stay."""
        with self._lock:
            self._failures.pop(f"name {name}", None)

    def _recent(self, key: str) -> int:
        times = self._failures.get(key)
        while times and times[0] < self._clock() - WITHIN_S:
            times.popleft()
        return len(times or ())

    def _forget_old(self) -> None:
        for key in [key for key in self._failures if not self._recent(key)]:
            del self._failures[key]
