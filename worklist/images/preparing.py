"""Have a series made ready by `python -m worker.viewing`, a process with limits, and read it.

What decoders do with hostile bytes happens there; here its bytes are counted and kept. A file of
slices ends with its index, a line of JSON, and the length of that line in eight bytes.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final

from schema.bare_environment import bare_environment
from schema.errors import PixelError, TransientError
from schema.files import MEGABYTE
from schema.settings import Settings
from worklist.images.cache import Cache
from worklist.images.sources import Images

PROGRAM: Final = "worker.viewing"  # started by name: nothing of the worker is imported here
AT_ONCE: Final = 2  # processes, however many readers open a study
WAIT_S: Final = 60.0
LONGEST_S: Final = 300.0  # for a series of thousands of slices
LONGEST_LINE: Final = 200
LARGEST_PART: Final = 2**26  # a slice of 4096 x 4096 that can't be compressed
LENGTH: Final = 8


@dataclass(frozen=True)
class Prepared:
    """A file of slices.

    Attributes
    ----------
    stack
        What `worker.viewing` says of the series.
    parts
        Where each slice lies in the file, from below: offset and length.
    """

    path: Path
    stack: dict[str, Any]
    parts: tuple[tuple[int, int], ...]

    def read(self, index: int) -> bytes:
        """Give a slice, compressed by gzip."""
        offset, length = self.parts[index]
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


class Preparer:
    """Makes each series ready once, for however many readers ask."""

    def __init__(self, settings: Settings, cache: Cache) -> None:
        self._settings = settings
        self._cache = cache
        self._busy = threading.BoundedSemaphore(AT_ONCE)
        self._making: dict[str, threading.Lock] = {}

    def prepare(self, images: Images) -> Prepared:
        """Give a series' slices, made now unless they are in the cache.

        Raises
        ------
        PixelError
            It can't be decoded, or not within the limits.
        TransientError
            Too many others are made ready, or the disk is full.
        """
        try:
            with self._making.setdefault(images.name, threading.Lock()):
                path = self._cache.find(images.name)
                if path is None:
                    with self._turn():
                        path = self._cache.add(images.name, lambda file: self._make(images, file))
        finally:
            self._making.pop(images.name, None)
        return read_index(path)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._busy.acquire(timeout=WAIT_S):
            raise TransientError("Too many series are opened at once; try again in a minute")
        try:
            yield
        finally:
            self._busy.release()

    def _make(self, images: Images, file: BinaryIO) -> None:
        drawn = images.segmentation
        request = {
            "paths": [str(path) for path in images.paths],
            "segmentation": str(drawn) if drawn else None,
        }
        memory_bytes = self._settings.decode_memory_mb * MEGABYTE
        limit_s = self._settings.decode_limit_s
        with _process([PROGRAM, str(memory_bytes), str(limit_s)], request) as (answer, process):
            stack, parts = _receive(answer, file)
            if stack is None:
                raise PixelError(
                    f"the process that decodes ended on it (exit status {process.wait()}),"
                    f" within TRIAGE_DECODE_LIMIT_S={limit_s:g} for a slice"
                )
        index = json.dumps({"stack": stack, "parts": parts}).encode()
        file.write(index + len(index).to_bytes(LENGTH, "big"))


def read_index(path: Path) -> Prepared:
    """Read the index of a file of slices."""
    with path.open("rb") as file:
        end = file.seek(-LENGTH, os.SEEK_END)
        length = int.from_bytes(file.read(LENGTH), "big")
        file.seek(end - length)
        index = json.loads(file.read(length))
    return Prepared(path, index["stack"], tuple((offset, size) for offset, size in index["parts"]))


def _receive(
    answer: IO[bytes], file: BinaryIO
) -> tuple[dict[str, Any] | None, list[tuple[int, int]]]:
    """Keep what the process sends; no stack if it ended too early."""
    stack: dict[str, Any] | None = None
    places: dict[int, tuple[int, int]] = {}
    while line := answer.readline(LONGEST_LINE):
        what, *rest = line.decode("ascii", "replace").split()
        length = int(rest[-1])
        if length > LARGEST_PART or len(content := answer.read(length)) != length:
            break
        match what:
            case "stack":
                stack = json.loads(content)
            case "slice":
                places[int(rest[0])] = (file.tell(), length)
                file.write(content)
            case "error":
                raise PixelError(content.decode(errors="replace"))
            case "end" if stack and sorted(places) == list(range(len(stack["position_mm"]))):
                return stack, [places[index] for index in sorted(places)]
    return None, []


@contextmanager
def _process(
    program: list[str], request: dict[str, Any]
) -> Iterator[tuple[IO[bytes], "subprocess.Popen[bytes]"]]:
    """Start the process; it is ended with the block, or when its time is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", *program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders print what they read
        env=bare_environment(),
    )
    watch = threading.Timer(LONGEST_S, process.kill)
    watch.start()
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        with process.stdin as pipe:
            pipe.write(json.dumps(request).encode())
        yield process.stdout, process
    except BrokenPipeError as error:
        raise PixelError("the process that decodes ended before it was asked") from error
    finally:
        watch.cancel()
        process.kill()
        process.stdout.close()
        process.wait()
