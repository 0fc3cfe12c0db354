"""How a pool's children tell their parent how they do: after the self-test, then after each job."""

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Protocol

from schema.errors import WorkerError
from schema.owners import is_gone, this_process

FOLDER: Final = "IHSNET_VERDICTS"  # variable that names where the children write; unset: no test
PREFIX: Final = "ihsnet-verdicts-"  # of its name; then whose it is, for who was killed leaves it


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
    _remove_left()
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{this_process()}-"))
    os.environ[FOLDER] = str(folder)
    return folder


def _remove_left() -> None:
    """Remove what workers left that were killed on this host."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(ValueError):  # anybody may put any name there
            if is_gone(folder.name.removeprefix(PREFIX).rpartition("-")[0]):
                shutil.rmtree(folder, ignore_errors=True)


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


def begin_beats(interval_s: float) -> None:
    """Touch this child's verdict over and over, which one that hangs as a whole does not."""
    if FOLDER in os.environ:
        path = Path(os.environ[FOLDER]) / str(os.getpid())
        threading.Thread(target=_beat, args=(path, interval_s), name="beats", daemon=True).start()


def _beat(path: Path, interval_s: float) -> None:
    with suppress(FileNotFoundError):  # its parent is gone
        while True:
            os.utime(path)
            time.sleep(interval_s)


def newest_beat(folder: Path, process_id: int) -> int | None:
    """Give what changes with each beat of a process; None before its first verdict."""
    try:
        return (folder / str(process_id)).stat().st_mtime_ns
    except FileNotFoundError:
        return None


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
