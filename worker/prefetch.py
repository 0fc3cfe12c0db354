"""Prepare the series that is probably next while this one is in the network.

A guess costs nobody anything: no job is claimed for it, one series at a time is held, what is
larger than it may be is left alone, and an error in it is nobody's outcome. Only the study whose
files it was made of can take it; every other throws it away.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import structlog

from schema.files import MEGABYTE
from worker.analysis import Prepared, prepare
from worker.slices import Decoder

log = structlog.get_logger()

NextPaths = Callable[[], Sequence[Path]]
Files = tuple[tuple[Path, int, int, int], ...]


class Prefetch:
    """Holds the one guess of a worker process, whichever of its threads made it.

    Parameters
    ----------
    decoder
        What turns a file into frames; must lend each request a decoder of its own.
    most_mb
        A series that takes more memory is not prepared; 0 prepares none.
    """

    def __init__(self, decoder: Decoder, most_mb: int) -> None:
        self._decoder = decoder
        self._most_bytes = most_mb * MEGABYTE
        self._turn = threading.Lock()
        self._guess: _Guess | None = None
        self._thread: threading.Thread | None = None

    def begin(self, next_paths: NextPaths | None) -> None:
        """Start on the files that `next_paths` gives, asked in a thread of its own.

        Without it nothing is begun this time.
        Nothing is done while an earlier guess is under way, even one that was thrown away: two of
        them would hold two series.
        """
        with self._turn:
            if not next_paths or not self._most_bytes or (self._thread and self._thread.is_alive()):
                return
            guess = self._guess = _Guess(next_paths, self._decoder, self._most_bytes)
            self._thread = threading.Thread(target=guess.make, name="prefetch", daemon=True)
            self._thread.start()

    def take(self, paths: Sequence[Path]) -> Prepared | None:
        """Give what was prepared of exactly these files, once; wait for it if it is under way."""
        with self._turn:
            guess, self._guess = self._guess, None
        if guess is None:
            return None
        if not paths or guess.files != _stamped(paths):
            guess.call_off()
            return None
        return guess.wait()


class _Guess:
    """A series that may be the next one."""

    def __init__(self, next_paths: NextPaths, decoder: Decoder, most_bytes: int) -> None:
        self.files: Files = ()
        self._next_paths = next_paths
        self._decoder = decoder
        self._most_bytes = most_bytes
        self._done = threading.Event()
        self._called_off = threading.Event()
        self._prepared: Prepared | None = None

    def make(self) -> None:
        """Prepare the series; what goes wrong goes wrong again when its study is read itself."""
        try:
            paths = self._next_paths()
            self.files = _stamped(paths)
            if paths:
                self._prepared = prepare(paths, self._decode, self._most_bytes)
        except Exception as error:  # noqa: BLE001 - the edge: a guess ends no study
            log.debug("nothing was prepared ahead", reason=type(error).__name__)
        finally:
            self._done.set()

    def call_off(self) -> None:
        """Stop at the next file."""
        self._called_off.set()

    def wait(self) -> Prepared | None:
        """Give what came of it."""
        self._done.wait()
        return self._prepared

    def _decode(
        self, path: Path, sop_instance_uid: str, size: tuple[int, int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        if self._called_off.is_set():
            raise InterruptedError("another study was next")
        yield from self._decoder(path, sop_instance_uid, size)


def _stamped(paths: Sequence[Path]) -> Files:
    """Tell files from others and from what they were; none where one is missing."""
    try:
        stats = [path.stat() for path in paths]
    except OSError:
        return ()
    pairs = zip(paths, stats, strict=True)
    return tuple((path, stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in pairs)
