"""How fast we receive, beside DCMTK's storescp and Orthanc: `python tests/benchmarks/receiving.py`.

The sender is DCMTK's storescu. Every receiver gets the same objects in the same round; the rounds
are interleaved, so that a busy minute of the machine hits all of them; the table shows medians.
Both ends run with TCP_NODELAY=1: DCMTK otherwise waits 40 ms for each delayed acknowledgement.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.objects import write_objects

ROUNDS: Final = 5
DEADLINE_S: Final = 120
IDLE_S: Final = 0.5
TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
ENVIRONMENT: Final = os.environ | {"TCP_NODELAY": "1"}
AE_TITLE: Final = "IHSNET"


@dataclass(frozen=True)
class Load:
    """So many associations at a time, with so many objects each."""

    associations: int
    objects: int

    def __str__(self) -> str:
        return f"{self.associations}x{self.objects}"

    @property
    def total(self) -> int:
        """Objects in all."""
        return self.associations * self.objects


LOADS: Final = (Load(1, 32), Load(1, 300), Load(4, 32))


@dataclass(frozen=True)
class Run:
    """What one receiver did with one load.

    Attributes
    ----------
    catalogued_s
        How long after the last acknowledgement the last row was in the database.
    """

    objects_a_second: float
    cpu_ms_an_object: float
    catalogued_s: float = 0.0


@dataclass(frozen=True)
class Receiver:
    """A program that receives: how to start it in an empty folder, and what it calls itself."""

    name: str
    command: Callable[[Path, int], list[str]]
    environment: Callable[[Path, int], dict[str, str]] = lambda _folder, _port: {}
    count_rows: Callable[[Path], int] | None = None


def dropping(_folder: Path, port: int) -> list[str]:
    """Give storescp's command that receives and drops: the sender's own ceiling."""
    return ["storescp", "--ignore", "--fork", "-aet", AE_TITLE, str(port)]


def storing(folder: Path, port: int) -> list[str]:
    """Give storescp's command that writes what it receives, without fsync."""
    options = ["--bit-preserving", "--max-pdu", "131072", "--fork", "-aet", AE_TITLE]
    return ["storescp", *options, "--output-directory", str(folder), str(port)]


def orthanc(folder: Path, port: int) -> list[str]:
    """Give Orthanc's command with its own defaults, on its SQLite."""
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "DicomPort": port,
        "DicomAet": AE_TITLE, "HttpServerEnabled": False, "DicomAlwaysAllowStore": True,
    }  # fmt: skip
    file = folder / "orthanc.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    return ["Orthanc", str(file)]


def tuned(*options: str) -> Callable[[Path, int], list[str]]:
    """Give the command of pynetdicom's SCP, durable and tuned from outside."""
    script = str(Path(__file__).with_name("tuned_pynetdicom.py"))
    return lambda folder, port: [sys.executable, script, str(folder), str(port), *options]


def ours(_folder: Path, _port: int) -> list[str]:
    """Give our command; everything else is in its environment."""
    return [sys.executable, "-m", "receiver"]


def our_settings(folder: Path, port: int) -> dict[str, str]:
    """Give our settings: the embedded default, with limits that one sender does not meet."""
    return {
        "TRIAGE_HOME": str(folder), "TRIAGE_DICOM_PORT": str(port), "TRIAGE_AE_TITLE": AE_TITLE,
        "TRIAGE_MIN_FREE_MB": "1", "TRIAGE_ASSOCIATIONS_PER_PEER": "1000",
    }  # fmt: skip


def our_rows(folder: Path) -> int:
    """Count the instances in our catalogue."""
    with sqlite3.connect(folder / "triage.sqlite3") as database:
        return int(database.execute("SELECT count(*) FROM instance").fetchone()[0])


OURS: Final = Receiver("IHSNet Triage", ours, our_settings, our_rows)
RECEIVERS: Final = (
    Receiver("storescp, received and dropped", dropping),
    Receiver("storescp, stored without fsync", storing),
    Receiver("Orthanc", orthanc),
    Receiver("pynetdicom, tuned, in chunks", tuned()),
    Receiver("pynetdicom, tuned, in memory", tuned("--in-memory")),
    OURS,
)


def main() -> None:
    """Measure and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    parser.add_argument("--only", help="receivers whose name contains this")
    given = parser.parse_args()
    chosen = [receiver for receiver in RECEIVERS if not given.only or given.only in receiver.name]
    runs: dict[tuple[str, Load], list[Run]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for _ in range(given.rounds):
            for load in LOADS:
                measure_round(Path(folder), load, chosen, runs)
    print_table(chosen, runs)


def measure_round(
    folder: Path, load: Load, receivers: list[Receiver], runs: dict[tuple[str, Load], list[Run]]
) -> None:
    """Let every receiver take the same load once."""
    batches = [folder / f"batch{number}" for number in range(load.associations)]
    for batch in batches:
        write_objects(batch, load.objects)
    os.sync()  # what the generator wrote must not be written back during a run
    for receiver in receivers:
        home = folder / "home"
        home.mkdir()
        with running(receiver, home) as (port, process_id):
            runs.setdefault((receiver.name, load), []).append(
                measure(receiver, home, batches, load, port, process_id)
            )
        shutil.rmtree(home)
        os.sync()
    for batch in batches:
        shutil.rmtree(batch)


def measure(
    receiver: Receiver, home: Path, batches: list[Path], load: Load, port: int, process_id: int
) -> Run:
    """Push the batches, one association each, at the same time."""
    cpu_before, start = cpu_s(process_id), time.monotonic()
    senders = [send(port, batch) for batch in batches]
    if any(sender.wait() for sender in senders):
        raise SystemExit(f"{receiver.name}: a sender failed")
    sent = time.monotonic()
    count_rows = receiver.count_rows
    if count_rows is not None:
        wait_until(lambda: count_rows(home) >= load.total)
    catalogued = time.monotonic()
    cpu_ms = 1000 * (cpu_s(process_id) - cpu_before) / load.total
    return Run(load.total / (sent - start), cpu_ms, catalogued - sent)


def send(port: int, *batches: Path) -> subprocess.Popen[bytes]:
    """Start a storescu that sends folders over one association."""
    command = ["storescu", "-aec", AE_TITLE, "+sd", "127.0.0.1", str(port), *map(str, batches)]
    return subprocess.Popen(command, env=ENVIRONMENT)


@contextmanager
def running(receiver: Receiver, home: Path) -> Iterator[tuple[int, int]]:
    """Run a receiver on a free port; give the port and its process id."""
    port = free_port()
    process = subprocess.Popen(
        receiver.command(home, port),
        env=ENVIRONMENT | receiver.environment(home, port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: echoes(port))
        wait_until(lambda: is_idle(process.pid))
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        stop_private_redis(home)


def stop_private_redis(home: Path) -> None:
    """End the private Redis of our embedded default, which outlives the receiver."""
    from schema.broker import client
    from schema.settings import Settings

    settings = Settings(_env_file=None, home=home)
    if settings.broker_socket.exists():
        with client(settings) as connection:
            connection.shutdown(nosave=True)


def free_port() -> int:
    """Find a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def echoes(port: int) -> bool:
    """Say whether a C-ECHO is answered."""
    command = ["echoscu", "-aec", AE_TITLE, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def is_idle(process_id: int) -> bool:
    """Say whether a receiver has done with starting up: it uses no CPU for a while."""
    before = cpu_s(process_id)
    time.sleep(IDLE_S)
    return cpu_s(process_id) - before < IDLE_S / 10


def wait_until(is_so: Callable[[], bool]) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit("a receiver does not answer")
        time.sleep(0.02)


def cpu_s(process_id: int) -> float:
    """Add up the CPU seconds of a process, its children, and those of them that ended."""
    return sum(map(_own_cpu_s, process_ids(process_id)))


def process_ids(process_id: int) -> list[int]:
    """Give a process and its children, whichever of its threads started them."""
    children: set[int] = set()
    with suppress(FileNotFoundError):
        for thread in Path(f"/proc/{process_id}/task").iterdir():
            children.update(map(int, (thread / "children").read_text().split()))
    return [process_id, *(process_id for child in children for process_id in process_ids(child))]


def _own_cpu_s(process_id: int) -> float:
    with suppress(FileNotFoundError):
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
        return sum(int(fields[index]) for index in (11, 12, 13, 14)) / TICKS_A_SECOND
    return 0.0


def print_table(receivers: list[Receiver], runs: dict[tuple[str, Load], list[Run]]) -> None:
    """Print objects a second, with CPU milliseconds an object in parentheses."""
    say("| receiver | " + " | ".join(map(str, LOADS)) + " | catalogued after, s |")
    say("|---|" + "---|" * (len(LOADS) + 1))
    for receiver in receivers:
        cells = [cell(runs[receiver.name, load]) for load in LOADS]
        lags = [run.catalogued_s for load in LOADS for run in runs[receiver.name, load]]
        lag = f"{max(lags):.2f} at most" if receiver.count_rows else "-"
        say(f"| {receiver.name} | " + " | ".join(cells) + f" | {lag} |")


def say(line: str) -> None:
    """Write a line at once, though the output be a file."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def cell(runs: list[Run]) -> str:
    """Give the medians of some runs."""
    rate = statistics.median(run.objects_a_second for run in runs)
    cpu_ms = statistics.median(run.cpu_ms_an_object for run in runs)
    return f"{rate:.0f} ({cpu_ms:.1f})"


if __name__ == "__main__":
    main()
