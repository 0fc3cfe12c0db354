"""What a worker's parent says of itself and of its children."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from schema.errors import DeviceUnavailableError
from schema.owners import this_process
from tests.support.deadline import DEADLINE_S
from tests.support.processes import wait_for
from tests.support.workers import solo_worker
from worker.metrics import RENEWAL_S, WorkerCollector, Workforce
from worker.self_tests import (
    FOLDER,
    PREFIX,
    Memory,
    Verdict,
    begin_beats,
    newest_beat,
    open_folder,
    read_verdicts,
    report_verdict,
)

GPU = Memory("cuda:0", 3, 10)
ENGINE = SimpleNamespace(model=("munet 1.2", "a" * 64), memory=GPU)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(FOLDER, "")
    opened = open_folder()
    yield opened
    for path in opened.iterdir():
        path.unlink()
    opened.rmdir()


KILLED = """
import os, signal
from worker.self_tests import open_folder
(open_folder() / "1").write_text("{}")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_worker_removes_what_a_killed_one_left_and_nobody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(FOLDER, "")
    mine = open_folder()
    planted = tmp_path / f"{PREFIX}{this_process().replace(str(os.getpid()), 'x', 1)}-a"
    planted.mkdir()
    subprocess.run([sys.executable, "-c", KILLED], env={**os.environ, "TMPDIR": str(tmp_path)})
    assert len(list(tmp_path.iterdir())) == 3
    second = open_folder()
    assert {*tmp_path.iterdir()} == {mine, planted, second}


class Clock:
    """A clock that a test moves on."""

    now = 1000.0

    def monotonic(self) -> float:
        """Give its seconds."""
        return self.now


def fail() -> SimpleNamespace:
    raise DeviceUnavailableError("device cuda: out of memory")


def gauges(workforce: Workforce) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in WorkerCollector(workforce).collect()
        for sample in family.samples
    }


def test_a_verdict_comes_back_as_it_was_given(folder: Path) -> None:
    report_verdict(lambda: ENGINE)
    assert read_verdicts(folder, [os.getpid(), 1]) == [Verdict(None, "munet 1.2", "a" * 64, GPU)]


def test_no_model_is_loaded_before_a_child_says_so(folder: Path) -> None:
    workforce = Workforce(solo_worker(), folder)
    assert workforce.model_missing() == "no process has loaded the model and analysed a slice yet"
    assert workforce.model() is None
    report_verdict(lambda: ENGINE)
    assert workforce.model_missing() is None
    assert workforce.model().name == "munet 1.2"


def test_a_worker_whose_child_is_renewed_lacks_nothing_until_that_takes_too_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("worker.metrics.time", clock)
    workforce = Workforce(solo_worker(), folder)
    report_verdict(lambda: ENGINE)
    assert workforce.model_missing() is None
    (folder / str(os.getpid())).unlink()
    clock.now += RENEWAL_S
    assert workforce.model_missing() is None
    assert workforce.model().name == "munet 1.2"
    clock.now += 1
    assert workforce.model_missing() == "no process has loaded the model and analysed a slice yet"
    assert workforce.model() is None


def test_a_child_that_gives_no_beat_for_longer_than_a_lease_is_named_with_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, child, worker = Clock(), os.getpid(), solo_worker()
    monkeypatch.setattr("worker.metrics.time", clock)
    worker.pool_cls = SimpleNamespace(__module__="celery.concurrency.prefork")
    worker.pool = SimpleNamespace(
        _pool=SimpleNamespace(_pool=[SimpleNamespace(pid=child, exitcode=None)])
    )
    worker.app.triage = SimpleNamespace(lease_s=60)
    workforce = Workforce(worker, folder)
    assert workforce.children_missing() is None  # its model is being loaded
    report_verdict(lambda: ENGINE)
    assert workforce.children_missing() is None
    clock.now += 61
    said = f"process {child} hangs, it says nothing for 61 s: kill -KILL {child}, "
    assert (workforce.children_missing() or "").startswith(said)
    os.utime(folder / str(child), ns=(0, 1))  # a beat, whatever the clock says
    assert workforce.children_missing() is None


def test_a_child_beats_until_its_parent_is_gone(folder: Path) -> None:
    report_verdict(lambda: ENGINE)
    before = newest_beat(folder, os.getpid())
    begin_beats(0.01)
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "beats")
    assert wait_for("beat", lambda: newest_beat(folder, os.getpid()) != before)
    (folder / str(os.getpid())).unlink()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_a_fault_of_a_child_is_what_its_worker_lacks(folder: Path) -> None:
    report_verdict(fail)
    assert Workforce(solo_worker(), folder).model_missing() == "device cuda: out of memory"


def test_the_memory_of_the_gpu_is_the_one_after_the_last_study(folder: Path) -> None:
    report_verdict(lambda: ENGINE)
    found = gauges(Workforce(solo_worker(), folder))
    assert found["triage_gpu_memory_free_bytes", "cuda:0"] == 3
    assert found["triage_gpu_memory_size_bytes", "cuda:0"] == 10


def test_a_worker_whose_queue_was_cancelled_is_told_from_one_that_consumes(folder: Path) -> None:
    started = solo_worker()
    workforce = Workforce(started, folder)
    assert gauges(workforce)["triage_consumer_attached",] == 1
    started.consumer.task_consumer.queues = ()
    assert gauges(workforce)["triage_consumer_attached",] == 0


def test_remote_control_shows(folder: Path) -> None:
    assert gauges(Workforce(solo_worker(), folder))["triage_remote_control_enabled",] == 0
    found = gauges(Workforce(solo_worker(commanded=True), folder))
    assert found["triage_remote_control_enabled",] == 1


def test_a_worker_that_is_not_up_takes_nothing(folder: Path) -> None:
    starting = solo_worker()
    starting.consumer = None
    workforce = Workforce(starting, folder)
    assert not workforce.is_attached
    assert ("triage_consumer_attached",) not in gauges(workforce)
