"""What the images of a series show, asked of a worker where one is installed beside the receiver.

The front door decodes no pixels; so the look runs in a process of the worker's, or not at all.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

WORKER: Final = "worker.look_child"
LIMIT_S: Final = 600.0


@dataclass(frozen=True)
class PixelLook:
    """What was seen of one series.

    Attributes
    ----------
    refusal
        Why the model must not read it; empty for a plain head.
    marks
        What a reader of its result should know.
    look, coverage
        The values, as the worker stores them with a result; None if nothing could be decoded.
    """

    refusal: str
    marks: tuple[str, ...]
    look: dict[str, Any] | None
    coverage: dict[str, Any] | None

    def __str__(self) -> str:
        """Say it in a line."""
        if self.refusal:
            return f"not analysed: {self.refusal}"
        share = f", {self.coverage['share']:.0%} of it seen" if self.coverage else ""
        return "; ".join([f"a plain head{share}", *self.marks])


LookAt = Callable[[Sequence[Path]], PixelLook | None]


def look_with_worker(paths: Sequence[Path]) -> PixelLook | None:
    """Have a worker look at the files of a series; None where no worker is installed."""
    try:
        answer = subprocess.run(
            [sys.executable, "-m", WORKER],
            input=json.dumps([str(path.resolve()) for path in paths]) + "\n",
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        seen = json.loads(answer.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return PixelLook(seen["refusal"], tuple(seen["marks"]), seen["look"], seen["coverage"])
