"""What befalls the site, one after another while studies arrive; each is over when it returns."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from schema.broker import client
from tests.chaos.hospital import Hospital, start_database, wait_for_broker
from tests.support.deadline import DEADLINE_S
from tests.support.processes import wait_for

AWAY_S: Final = 8.0  # how long something is gone
CLOCK_S: Final = 3600


@dataclass(frozen=True)
class Trouble:
    """Words for the report, and what happens; where it cannot be made here, why."""

    name: str
    happen: Callable[[], None]
    missing: str | None = None


def troubles(site: Hospital) -> Iterator[Trouble]:
    """Give them in their order; processes die in the middle of their work."""
    yield Trouble("a worker with a wrong setting", lambda: _sick(site))
    for name in site.parts:
        if name.startswith(("receiver", "worker")):
            yield Trouble(f"SIGKILL of {name}", lambda name=name: _killed(site, name))  # type: ignore[misc]
    yield Trouble("worker-2 paused past its lease", lambda: _paused(site, "worker-2"))
    yield Trouble("Redis emptied", lambda: _emptied(site))
    yield Trouble("Redis killed and started", lambda: _away(site, "redis"))
    yield Trouble("PostgreSQL stopped and started", lambda: _database_away(site))
    yield Trouble("storage of worker-1 away", lambda: _unmounted(site, "worker-1"))
    yield _full_disk(site)
    yield Trouble("PACS stopped and started", lambda: _pacs_away(site))
    yield Trouble("SIGKILL of the delivery worker", lambda: _away(site, "delivery"))
    for name in ("receiver-1", "database"):
        for direction in ("forward", "back"):
            yield _clock(site, name, direction)


def _sick(site: Hospital) -> None:
    worker = site.parts["worker-1"]
    sick = subprocess.run(
        worker.command,
        env=site.environment(worker) | {"TRIAGE_OPERATING_POINT": "typo"},
        capture_output=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert sick.returncode == 2, sick.stderr[-2000:]


def _killed(site: Hospital, name: str) -> None:
    if name.startswith("worker"):
        wait_for(f"a job of {name}", lambda: site.running(name))
    _away(site, name, 1.0)


def _away(site: Hospital, name: str, away_s: float = AWAY_S) -> None:
    site.kill(name)
    time.sleep(away_s)
    site.start(name)
    if name == "redis":
        wait_for_broker(site.settings)


def _paused(site: Hospital, name: str) -> None:
    wait_for(f"a job of {name}", lambda: site.running(name))
    site.signal(name, signal.SIGSTOP)
    time.sleep(site.settings.lease_s + AWAY_S)
    site.signal(name, signal.SIGCONT)


def _emptied(site: Hospital) -> None:
    with client(site.settings) as connection:
        connection.flushall()


def _database_away(site: Hospital) -> None:
    start_database(site.folder).cleanup()  # finds the one that runs
    time.sleep(AWAY_S)
    start_database(site.folder)


def _unmounted(site: Hospital, name: str) -> None:
    site.mount(name).unlink()
    time.sleep(AWAY_S)
    site.mount(name).symlink_to(site.settings.storage)


def _full_disk(site: Hospital) -> Trouble:
    storage = site.settings.storage
    missing = None if storage.is_mount() else "a small disk can only be mounted by root"
    return Trouble("storage full", lambda: _filled(site), missing)


def _filled(site: Hospital) -> None:
    ballast = site.settings.storage / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1_000_000))
    time.sleep(AWAY_S)
    ballast.unlink()


def _pacs_away(site: Hospital) -> None:
    site.orthanc.stop()
    time.sleep(AWAY_S)
    site.orthanc.start()


def _clock(site: Hospital, name: str, direction: str) -> Trouble:
    missing = None if site.clock(name).exists() else "Debian's faketime is not installed"
    sign = {"forward": "+", "back": "-"}[direction]
    return Trouble(
        f"clock of {name} an hour {direction}", lambda: _jumped(site, name, sign), missing
    )


def _jumped(site: Hospital, name: str, sign: str) -> None:
    site.clock(name).write_text(f"{sign}{CLOCK_S}")
    time.sleep(AWAY_S)
    site.clock(name).write_text("+0")
