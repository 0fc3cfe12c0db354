"""`python -m worker.decode_child`: the process that decodes pixels; `worker.limits` starts it.

Reads one object a line from standard input and writes its frames to standard output. Imports
nothing of the model and opens no database.
"""

import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from schema.errors import PixelError, TriageError
from schema.files import MEGABYTE
from worker.limits import END, FRAME
from worker.slices import decode


def main(memory_bytes: int, limit_s: float) -> None:
    """Decode what is asked for until standard input ends."""
    limit(memory_bytes)
    for request in sys.stdin.buffer:
        path, sop_instance_uid = json.loads(request)
        try:
            for picture in timed(decode(Path(path), sop_instance_uid), limit_s):
                send_frame(sys.stdout.buffer, sop_instance_uid, picture)
            sys.stdout.buffer.write(END)
        except TriageError as error:
            send_error(sys.stdout.buffer, error)
        except MemoryError:
            name, limit_mb = f"SOP instance {sop_instance_uid}", memory_bytes // MEGABYTE
            too_large = PixelError(
                f"{name}: its pixels need too much memory; send it uncompressed",
                detail=f"{name}: its pixels need more than TRIAGE_DECODE_MEMORY_MB={limit_mb}",
            )
            send_error(sys.stdout.buffer, too_large)
        sys.stdout.buffer.flush()


def limit(memory_bytes: int) -> None:
    """Give up more memory, every file and the core dump, which would hold a patient."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def timed(
    pictures: Iterator[npt.NDArray[np.float32]], limit_s: float
) -> Iterator[npt.NDArray[np.float32]]:
    """Pass frames on; each has its time, after which the kernel ends this process.

    By the default action of SIGALRM, because a handler of ours waits until native code returns.
    """
    while True:
        with alarm(limit_s):
            picture = next(pictures, None)
        if picture is None:
            return
        yield picture


@contextmanager
def alarm(limit_s: float) -> Iterator[None]:
    """Be ended unless the block is through in time."""
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def send_frame(out: BinaryIO, sop_instance_uid: str, picture: npt.NDArray[np.float32]) -> None:
    """Write whose frame it is, and the frame; how large it must be is known to the other side."""
    out.write(FRAME + sop_instance_uid.encode() + b"\n")
    out.write(np.ascontiguousarray(picture).data)


def send_error(out: BinaryIO, error: TriageError) -> None:
    """Write what was wrong, as one line."""
    out.write(json.dumps([type(error).__name__, str(error), error.detail]).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends us
    main(int(sys.argv[1]), float(sys.argv[2]))
