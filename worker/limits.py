"""Decode pixels in a process of their own, with limits on its memory and its time.

A native decoder that meets hostile bytes may ask for all memory, run for ever or crash. Here it
takes a small process with it and the study that it came with; the model beside us, which needs far
more address space than any limit could leave it, stays up for the next study.

A process answers one request at a time. `worker.decoders` lends each request one of its own.
"""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, cast

import numpy as np
import numpy.typing as npt

from schema import errors
from schema.bare_environment import bare_environment
from schema.errors import DecoderKilledError, PixelError, TransientError, TriageError
from schema.files import MEGABYTE

LONGEST_LINE: Final = 65536
FRAME: Final = b"frame "  # then the SOP Instance UID, a line's end and the pixels
END: Final = b"end\n"
DEATH_S: Final = 5.0  # between a process's last byte and its exit status
# No file sends these: an operator does, or the kernel where the host itself has no memory left.
FROM_OUTSIDE: Final = (-signal.SIGKILL, -signal.SIGTERM)


class DecoderProcess:
    """Decodes one object after the other; a process that died is replaced with the next object."""

    def __init__(self, memory_mb: int, limit_s: float) -> None:
        self._memory_mb = memory_mb
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answering = threading.Lock()

    def __enter__(self) -> "DecoderProcess":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process unless it runs; its imports are then done before a study waits."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()  # it died between two objects, which neither of them is to blame for
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.decode_child", str(self._memory_mb * MEGABYTE),
                 str(self._limit_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # decoders print what they read
                env=bare_environment(),
            )  # fmt: skip
        return self._process

    def stop(self) -> None:
        """End the process; nothing in it is worth waiting for."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                cast("IO[bytes]", pipe).close()
        process.wait()

    def __call__(
        self, path: Path, sop_instance_uid: str, size: tuple[int, int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Yield an object's frames in HU, each (row, column) float32.

        Raises
        ------
        TriageError
            What `worker.slices.decode` raises there.
        PixelError
            The decoder took more memory or time than it may, or crashed.
        DecoderKilledError
            Somebody else ended the decoder while it answered.
        TransientError
            The decoder sent a frame of another object.
        RuntimeError
            It is asked while it answers: two callers would read each other's patients.
        """
        if not self._answering.acquire(blocking=False):
            raise RuntimeError("a decoder answers one request at a time; borrow one of your own")
        try:
            yield from self._frames(path, sop_instance_uid, size)
        except BaseException:
            # A frame may be half-read, whether by a time limit or a caller that wants no more.
            self.stop()
            raise
        finally:
            self._answering.release()

    def _frames(
        self, path: Path, sop_instance_uid: str, size: tuple[int, int]
    ) -> Iterator[npt.NDArray[np.float32]]:
        process = self.start()  # once: another one would answer nothing that this one was asked
        answer = cast("IO[bytes]", process.stdout)
        try:
            _ask(process, path, sop_instance_uid)
            while (line := _line(answer)).startswith(FRAME):
                _check_owner(line, sop_instance_uid)
                yield _picture(answer, size)
        except (BrokenPipeError, EOFError) as error:
            raise self._death(process, sop_instance_uid) from error
        if line != END:
            raise _sent_error(line)

    def _death(self, process: "subprocess.Popen[bytes]", sop_instance_uid: str) -> TriageError:
        try:
            status = process.wait(DEATH_S)
        except subprocess.TimeoutExpired:
            status = 0  # it lives and talks nonsense
        name = f"SOP instance {sop_instance_uid}"
        if status in FROM_OUTSIDE:
            return DecoderKilledError(
                f"{name}: the decoder was killed ({signal.Signals(-status).name}); if nobody did"
                " it, this host lacks memory"
            )
        if status == -signal.SIGALRM:
            return PixelError(
                f"{name}: its pixels take too long to decode; send it uncompressed",
                detail=f"{name}: no frame within TRIAGE_DECODE_LIMIT_S={self._limit_s:g}",
            )
        return PixelError(
            f"{name}: its pixels cannot be decoded; send it again",
            detail=f"{name}: the decoder crashed on it (exit status {status})",
        )


def _ask(process: "subprocess.Popen[bytes]", path: Path, sop_instance_uid: str) -> None:
    pipe = cast("IO[bytes]", process.stdin)
    pipe.write(json.dumps([str(path), sop_instance_uid]).encode() + b"\n")
    pipe.flush()


def _line(answer: IO[bytes]) -> bytes:
    line = answer.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def _picture(answer: IO[bytes], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    picture = np.frombuffer(answer.read(size[0] * size[1] * 4), np.uint8)
    if picture.size != size[0] * size[1] * 4:
        raise EOFError
    return picture.view(np.float32).reshape(size)


def _check_owner(line: bytes, sop_instance_uid: str) -> None:
    """Refuse a frame of another object; the patient it belongs to may be another too."""
    owner = line[len(FRAME) :].strip().decode("ascii", "replace")
    if owner != sop_instance_uid:
        raise TransientError(
            f"SOP instance {sop_instance_uid}: the decoder sent a frame of {owner}; it is replaced"
            " and the series is read again"
        )


def _sent_error(line: bytes) -> TriageError:
    """Rebuild the error that the decoder names, one of ours and nothing else."""
    name, message, detail = json.loads(line)
    kind = getattr(errors, name, PixelError)
    known = isinstance(kind, type) and issubclass(kind, TriageError)
    return (kind if known else PixelError)(message, detail=detail)
