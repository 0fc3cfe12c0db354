"""The real parts as processes of their own, for tests that kill them."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import sqlalchemy as sa
from pydicom.filereader import read_file_meta_info

from receiver.inbox import FOLDER, OBJECT_SUFFIX
from schema.bare_environment import PREFIX
from schema.broker import client
from schema.database import Database
from schema.settings import Settings
from schema.states import StudyState
from schema.tables import Base, Study
from tests.support.deadline import DEADLINE_S
from tests.support.scu import Scu
from worklist.entries import Entry
from worklist.queries import read_worklist

T = TypeVar("T")
OF_A_BUSY_HOST: Final = {"series_silence_s": 10, "lease_s": 10}  # seconds that are not its fault


def wait_for(what: str, get: Callable[[], T | None], deadline_s: float = DEADLINE_S) -> T:
    """Poll until `get` gives something true; fail with the name of what did not come."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if found := get():
            return found
        time.sleep(0.05)
    raise AssertionError(f"no {what} within {deadline_s} s")


def dataset_bytes(path: Path) -> bytes:
    """Give the dataset of a file as it is encoded, without its file meta."""
    content = path.read_bytes()
    group_length = int.from_bytes(content[140:144], "little")  # (0002,0000), behind the prefix
    return content[144 + group_length :]


def dataset_sha256(path: Path) -> str:
    """Give the SHA-256 of that; of nothing where there is no file."""
    return hashlib.sha256(dataset_bytes(path) if path.exists() else b"").hexdigest()


def waiting(settings: Settings) -> Iterator[Path]:
    """List the objects that wait in the inbox."""
    return (settings.storage / FOLDER).glob(f"*/*{OBJECT_SUFFIX}")


def free_port() -> int:
    """Find a port that nobody uses; somebody may take it before we do."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until something listens on a loopback port."""
    wait_for(f"listener on {port}", lambda: _listens(port))


def wait_until_closed(port: int) -> None:
    """Wait until nothing does: what a killed process had open may outlive it by a moment."""
    wait_for(f"end of {port}", lambda: not _listens(port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def environment_of(settings: Settings) -> dict[str, str]:
    """Give a part's environment: what was set, and that whoever is on this host may call."""
    given = {
        PREFIX + name.upper(): str(value)
        for name in settings.model_fields_set - {"callers"}
        if (value := getattr(settings, name)) is not None
    }
    return os.environ | given | {"TRIAGE_CALLERS": "*@127.0.0.0/8", "TRIAGE_DEVICE": "cpu"}


@dataclass
class Site:
    """One hospital: settings, database, and whichever parts a test has started."""

    settings: Settings
    database: Database
    log: Path
    parts: list[subprocess.Popen[bytes]] = field(default_factory=list)
    program: Path | None = None  # the folder of another release, whose programs are started

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a part in a process group of its own; `environment` is for it alone."""
        path = {} if self.program is None else {"PYTHONPATH": str(self.program)}
        with self.log.open("ab") as log:
            part = subprocess.Popen(
                command,
                env=environment_of(self.settings) | path | environment,
                cwd=self.program,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.parts.append(part)
        return part

    def start_receiver(self) -> subprocess.Popen[bytes]:
        """Start the receiver and wait until it listens."""
        part = self.start(sys.executable, "-m", "receiver")
        wait_for_port(self.settings.dicom_port)
        return part

    def start_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker as the operator does."""
        command = (sys.executable, "-m", "celery", "-A", "worker", "worker")
        return self.start(*command, *options, **environment)

    def kill(self, part: subprocess.Popen[bytes]) -> None:
        """SIGKILL a part with its children, as the out-of-memory killer would."""
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(part.pid, signal.SIGKILL)
        part.wait()
        self.parts.remove(part)

    def stop(self) -> None:
        """Stop what still runs."""
        for part in list(self.parts):
            self.kill(part)
        with client(self.settings) as connection:
            connection.shutdown(nosave=True)

    def send(self, paths: Sequence[Path]) -> list[int]:
        """Push files in one association; give the status of each."""
        # Not pynetdicom's: now and then its requestor takes a quick response for a request.
        metas = [read_file_meta_info(path) for path in paths]
        kinds = [(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)) for meta in metas]
        contexts = sorted(set(kinds))
        with Scu(("127.0.0.1", self.settings.dicom_port), contexts) as scu:
            statuses = [
                scu.store(
                    kind[0],
                    str(meta.MediaStorageSOPInstanceUID),
                    dataset_bytes(path),
                    1 + 2 * contexts.index(kind),
                )
                for path, meta, kind in zip(paths, metas, kinds, strict=True)
            ]
            scu.release()
        return statuses

    def wait_until(self, state: StudyState, study_instance_uid: str) -> Entry:
        """Wait until a study is in a state; give its row of the worklist."""

        query = sa.select(Study.state).where(Study.study_instance_uid == study_instance_uid)

        def reached() -> Entry | None:
            with self.database.reading() as session:  # a list each time would be half a core
                if session.scalar(query) != state:
                    return None
            entries = read_worklist(self.database, self.settings.storage).entries
            return next(
                (
                    entry
                    for entry in entries
                    if (entry.study_instance_uid, entry.state) == (study_instance_uid, state)
                ),
                None,
            )

        return wait_for(f"study {state}", reached)

    def count(self, table: type[Base]) -> int:
        """Count the rows of a table."""
        with self.database.reading() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@contextmanager
def site_of(settings: Settings, database: Database, log: Path, **changes: object) -> Iterator[Site]:
    """Make a site with changed settings; stop its parts afterwards, and show their log."""
    given = {"dicom_port": free_port()} | OF_A_BUSY_HOST | changes
    own = settings.model_copy(update=given)
    site = Site(own, database, log)
    try:
        yield site
    finally:
        site.stop()
        # Shown where a test failed.
        sys.stdout.write(log.read_text()[-20000:] if log.exists() else "")
