"""A decoder process for each request, however many threads a worker runs."""

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from worker.limits import DecoderProcess


class Decoders:
    """Lends each request a decoder of its own; idle ones wait for the next.

    Two threads that share one process read each other's frames, which are another patient's. There
    are never more processes than there were requests at one time, so one for each thread.
    """

    def __init__(self, memory_mb: int, limit_s: float) -> None:
        self._memory_mb = memory_mb
        self._limit_s = limit_s
        self._idle: deque[DecoderProcess] = deque()
        self._owner_pid = os.getpid()

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start one process; its imports are then done before a study waits."""
        decoder = self._take()
        decoder.start()
        self._idle.append(decoder)

    def stop(self) -> None:
        """End the idle processes."""
        while self._idle:
            self._idle.pop().stop()

    def __call__(
        self, path: Path, sop_instance_uid: str, size: tuple[int, int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield an object's frames as `DecoderProcess` does, from one that nobody else uses."""
        decoder = self._take()
        try:
            yield from decoder(path, sop_instance_uid, size)
        finally:
            self._idle.append(decoder)

    def _take(self) -> DecoderProcess:
        if self._owner_pid != os.getpid():
            # A fork shares the pipes of its parent's decoders, so none of them is ours.
            self._idle, self._owner_pid = deque(), os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return DecoderProcess(self._memory_mb, self._limit_s)
