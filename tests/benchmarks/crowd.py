"""What 64 senders at once do to everybody else: `python tests/benchmarks/crowd.py`.

While they stream, one more peer opens an association, echoes and releases it, again and again; the
time of each is noted, and the memory of the receiver's processes. The senders have the lowest
priority on the processor that they share with the receiver: in a hospital they have their own.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.benchmarks.objects import write_objects
from tests.benchmarks.receiving import OURS, process_ids, running, say, send
from tests.support.scu import EXPLICIT, VERIFICATION, Scu

SENDERS: Final = 64
BATCHES: Final = 4
OBJECTS: Final = 32
PAUSE_S: Final = 0.02
BAR_MS: Final = 100
LOWEST_PRIORITY: Final = 19
MEGABYTE: Final = 1_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=SENDERS)
    senders = parser.parse_args().senders
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        batches = [folder / f"batch{number}" for number in range(BATCHES)]
        for batch in batches:
            write_objects(batch, OBJECTS)
        (folder / "home").mkdir()
        with running(OURS, folder / "home") as (port, process_id):
            crowd = [send(port, *batches) for _ in range(senders)]
            for sender in crowd:
                os.setpriority(os.PRIO_PROCESS, sender.pid, LOWEST_PRIORITY)
            measure(crowd, port, process_id)


def measure(crowd: list[subprocess.Popen[bytes]], port: int, process_id: int) -> None:
    """Echo until the crowd is done; print what that took."""
    start = time.monotonic()
    waits_ms: list[float] = []
    memory_mb = 0.0
    while any(sender.poll() is None for sender in crowd):
        waits_ms.append(echo_ms(port))
        memory_mb = max(memory_mb, sum(map(resident_mb, process_ids(process_id))))
        time.sleep(PAUSE_S)
    took_s = time.monotonic() - start
    failed = sum(sender.returncode != 0 for sender in crowd)
    total = len(crowd) * BATCHES * OBJECTS
    say(f"{len(crowd)} senders, {total} objects, {total / took_s:.0f} a second, {failed} failed")
    say(
        f"C-ECHO with its association, ms: median {statistics.median(waits_ms):.0f}, "
        f"95 % {sorted(waits_ms)[len(waits_ms) * 95 // 100]:.0f}, longest {max(waits_ms):.0f}, "
        f"{sum(wait > BAR_MS for wait in waits_ms)} of {len(waits_ms)} above {BAR_MS}"
    )
    say(f"memory of all processes at most {memory_mb:.0f} MB")


def echo_ms(port: int) -> float:
    """Open an association, echo and release it."""
    start = time.monotonic()
    with Scu(("127.0.0.1", port), ((VERIFICATION, EXPLICIT),)) as scu:
        scu.echo()
        scu.release()
    return 1000 * (time.monotonic() - start)


def resident_mb(process_id: int) -> float:
    """Read what a process holds in memory; shared pages count in each."""
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / MEGABYTE
    return 0.0


if __name__ == "__main__":
    main()
