"""How a pool's children tell their parent how they do: after the self-test, then after each job."""

import json
import os
import tempfile
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from schema.errors import WorkerError

FOLDER: Final = "IHSNET_VERDICTS"  # variable that names where the children write; unset: no test


@dataclass(frozen=True)
class Memory:
    """What a device has, in bytes; all programs that use it share it."""

    device: str
    free_bytes: int
    total_bytes: int


class Tested(Protocol):
    """An engine that passed its self-test."""

    @property
    def model(self) -> tuple[str, str]:
        """The model's name, and the digest of its weights."""

    @property
    def memory(self) -> Memory | None:
        """What its device has left; None where nothing says so."""


@dataclass(frozen=True)
class Verdict:
    """How one process does: the fault that it stops for, or what it works with."""

    fault: str | None = None
    model: str = ""
    model_sha256: str = ""
    memory: Memory | None = None


def open_folder() -> Path:
    """Make the folder and let children that start from now on know it."""
    folder = Path(tempfile.mkdtemp(prefix="ihsnet-verdicts-"))
    os.environ[FOLDER] = str(folder)
    return folder


def report_verdict(test: Callable[[], Tested]) -> None:
    """Run the test of a child whose parent asks for one, and write what came of it."""
    if FOLDER not in os.environ:
        return
    try:
        engine = test()
        verdict = Verdict(None, *engine.model, engine.memory)
    except WorkerError as fault:
        verdict = Verdict(str(fault))
    folder = Path(os.environ[FOLDER])
    if folder.is_dir():  # a child that outlives its parent tells nobody
        part = folder / f".{os.getpid()}"
        part.write_text(json.dumps(asdict(verdict)), "utf-8")
        part.rename(folder / str(os.getpid()))


def read_verdicts(folder: Path, process_ids: Collection[int]) -> list[Verdict]:
    """Give the newest verdicts of the processes that live."""
    return [
        _read(folder / str(process_id))
        for process_id in process_ids
        if (folder / str(process_id)).exists()
    ]


def _read(path: Path) -> Verdict:
    values = json.loads(path.read_text("utf-8"))
    memory = values.pop("memory")
    return Verdict(**values, memory=Memory(**memory) if memory else None)
