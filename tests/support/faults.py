"""Kill the receiver while senders push: `python tests/support/faults.py --kills 200`.

Every sender notes what was acknowledged, and sends again what was not, as a modality does. In the
end each acknowledged object must have one row and one file with its content, and nothing a second.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import sqlalchemy as sa

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from schema.bare_environment import PREFIX
from schema.broker import client
from schema.database import connect
from schema.dicom import DimseStatus
from schema.settings import Settings
from schema.tables import Instance
from tests.support.deadline import DEADLINE_S
from tests.support.processes import dataset_sha256, free_port, wait_for, waiting
from tests.support.scu import CT, VERIFIED, Address, Scu, encode, image, new_uid

SENDERS: Final = 4
ALIVE_S: Final = (0.0, 0.8)  # how long a receiver lives after it answers
OBJECT_BYTES: Final = 50_000


@dataclass
class Modality(threading.Thread):
    """Sends one object after another; what is not acknowledged, again on the next association."""

    address: Address
    study_uid: str = field(default_factory=new_uid)
    acknowledged: dict[str, str] = field(default_factory=dict)  # SOP instance UID: SHA-256
    enough: threading.Event = field(default_factory=threading.Event)
    broken: int = 0  # associations that did not come about, or ended before their time

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Send until it is enough."""
        uid, encoded = self._next()
        while not self.enough.is_set():
            try:
                with Scu(self.address) as scu:
                    while not self.enough.is_set():
                        if scu.store(CT, uid, encoded) == DimseStatus.SUCCESS:
                            self.acknowledged[uid] = hashlib.sha256(encoded).hexdigest()
                            uid, encoded = self._next()
            except OSError:
                self.broken += 1
            self.enough.wait(0.02)

    @property
    def series_uid(self) -> str:
        """The series that it sends."""
        return f"{self.study_uid[:60]}.1"

    def _next(self) -> tuple[str, bytes]:
        uid = new_uid()
        pixels = random.randbytes(OBJECT_BYTES)
        ds = image(uid, StudyInstanceUID=self.study_uid, SeriesInstanceUID=self.series_uid)
        ds.BitsAllocated, ds.PixelData = 8, pixels
        ds["PixelData"].VR = "OB"
        return uid, encode(ds)


@dataclass(frozen=True)
class Verdict:
    """What is left after the kills."""

    acknowledged: int
    lost: list[str]
    doubled: list[str]
    changed: list[str]


def push_and_kill(home: Path, kills: int) -> Verdict:
    """Kill the receiver's whole process group so often, then let it finish and count."""
    port = free_port()
    environment = {
        f"{PREFIX}{name}": str(value)
        for name, value in {"HOME": home, "DICOM_PORT": port, "MIN_FREE_MB": 0}.items()
    }
    settings = Settings(_env_file=None, home=home)
    modalities = [Modality(("127.0.0.1", port)) for _ in range(SENDERS)]
    for modality in modalities:
        modality.start()
    try:
        for number in range(kills):
            with _receiver(environment, port, signal.SIGKILL):
                time.sleep(random.uniform(*ALIVE_S))
            _say(f"{number + 1} of {kills} kills, {_total(modalities)} acknowledged")
        with _receiver(environment, port, signal.SIGTERM):
            _join(modalities)
            wait_for("empty inbox", lambda: not any(waiting(settings)))
        return _select_images(settings, _acknowledged(modalities))
    finally:
        _join(modalities)
        with client(settings) as connection, suppress(Exception):
            connection.shutdown(nosave=True)


@contextmanager
def _receiver(environment: dict[str, str], port: int, last: signal.Signals) -> Iterator[None]:
    receiver = subprocess.Popen(
        [sys.executable, "-m", "receiver"],
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for("an answer of the receiver", lambda: _answers(port, receiver), DEADLINE_S)
        yield
    finally:
        os.killpg(receiver.pid, last)
        receiver.wait(DEADLINE_S)


def _join(modalities: list[Modality]) -> None:
    for modality in modalities:
        modality.enough.set()
    for modality in modalities:
        modality.join(DEADLINE_S)


def _select_images(settings: Settings, acknowledged: dict[str, str]) -> Verdict:
    database = connect(settings)
    with database.reading() as session:
        rows = session.execute(
            sa.select(Instance.sop_instance_uid, Instance.sha256, Instance.path)
        ).all()
    database.engine.dispose()
    counts: dict[str, int] = {}
    for uid, _, _ in rows:
        counts[uid] = counts.get(uid, 0) + 1
    whole = {
        uid: acknowledged[uid] == sha256 == dataset_sha256(settings.storage / path)
        for uid, sha256, path in rows
        if uid in acknowledged
    }
    return Verdict(
        acknowledged=len(acknowledged),
        lost=sorted(acknowledged.keys() - counts.keys()),
        doubled=sorted(uid for uid, count in counts.items() if count > 1),
        changed=sorted(uid for uid, complete in whole.items() if not complete),
    )


def _answers(port: int, receiver: subprocess.Popen[bytes]) -> bool:
    assert receiver.poll() is None, "the receiver does not start"
    with suppress(OSError), Scu(("127.0.0.1", port), VERIFIED) as scu:
        return scu.echo() == DimseStatus.SUCCESS
    return False


def _acknowledged(modalities: list[Modality]) -> dict[str, str]:
    return {uid: sha256 for one in modalities for uid, sha256 in one.acknowledged.items()}


def _total(modalities: list[Modality]) -> int:
    return sum(len(modality.acknowledged) for modality in modalities)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}  ")


def main() -> None:
    """Kill, count, and exit 1 if anything was lost, doubled or changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        verdict = push_and_kill(Path(folder) / "home", kills)
    sys.stdout.write(
        f"\n{kills} kills, {verdict.acknowledged} objects acknowledged: {len(verdict.lost)} lost, "
        f"{len(verdict.doubled)} doubled, {len(verdict.changed)} changed\n"
    )
    sys.exit(1 if verdict.lost or verdict.doubled or verdict.changed else 0)


if __name__ == "__main__":
    main()
