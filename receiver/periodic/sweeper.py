"""The one periodic runner: each step in its own interval, and no lane waits for another."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from schema.errors import describe

log = structlog.get_logger()

STOP_DEADLINE_S: Final = 5.0


@dataclass(frozen=True)
class Step:
    """Something that is done over and over.

    Attributes
    ----------
    lane
        Steps of one lane take turns in one thread; another lane never waits for them.
    interval_s
        From the end of one run to the begin of the next.
    """

    name: str
    lane: str
    interval_s: float
    action: Callable[[], object]


class Sweeper:
    """Runs steps until it is told to stop; one that fails is tried again in its next turn."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = {step.name: step for step in steps}
        self._failing: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self, stopped: threading.Event) -> None:
        """Start a thread for each lane; they end when `stopped` is set."""
        lanes: dict[str, list[Step]] = {}
        for step in self._steps.values():
            lanes.setdefault(step.lane, []).append(step)
        for lane, steps in lanes.items():
            arguments = (steps, stopped)
            # A daemon: a peer that hangs in one lane does not keep the program from ending.
            thread = threading.Thread(target=self._run, args=arguments, name=lane, daemon=True)
            self._threads.append(thread)
            thread.start()

    def join(self) -> None:
        """Wait a little for the lanes to end."""
        deadline = time.monotonic() + STOP_DEADLINE_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    def run_once(self, *names: str) -> None:
        """Run the steps of these names once, or all of them, in the caller's thread."""
        for name in names or self._steps:
            self._do(self._steps[name])

    def _run(self, steps: Sequence[Step], stopped: threading.Event) -> None:
        due_at = dict.fromkeys((step.name for step in steps), 0.0)
        while not stopped.is_set():
            for step in steps:
                if time.monotonic() >= due_at[step.name] and not stopped.is_set():
                    self._do(step)
                    due_at[step.name] = time.monotonic() + step.interval_s
            stopped.wait(max(min(due_at.values()) - time.monotonic(), 0))

    def _do(self, step: Step) -> None:
        try:
            step.action()
        except Exception as error:  # noqa: BLE001 - the edge: the lane must outlive anything
            self._report_failure(step.name, error)
        else:
            self._report_recovery(step.name)

    def _report_failure(self, name: str, error: Exception) -> None:
        """Log the first failure, not one a second all night; a bug says where, not what it read."""
        if name not in self._failing:
            self._failing.add(name)
            log.error("step fails, will try again", step=name, reason=describe(error))

    def _report_recovery(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            log.info("step works again", step=name)
