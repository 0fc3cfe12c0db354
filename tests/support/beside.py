"""Receivers beside each other, as processes of their own with a log each."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from receiver.processes.listeners import open_port
from schema.broker import client
from schema.dicom import DimseStatus
from schema.settings import Settings
from tests.support.deadline import DEADLINE_S
from tests.support.processes import environment_of, wait_for
from tests.support.scu import VERIFIED, Address, Scu

HAND_IN = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "plain"}
os.execv(sys.executable, [sys.executable, "-m", "receiver"])
"""


@dataclass
class Receiver:
    """One `python -m receiver`; its port is that of a socket that the test keeps."""

    settings: Settings
    log: Path
    listener: socket.socket
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self.listener.getsockname()
        return str(host), int(port)

    def start(self) -> None:
        """Start it as systemd would: with the socket, by the name of what it is for."""
        descriptor = self.listener.fileno()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", HAND_IN, str(descriptor)],
                env=environment_of(self.settings),
                pass_fds=(descriptor,),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL it with its acceptors."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; give its status."""
        self.process.terminate()
        return self.process.wait(DEADLINE_S)

    def says(self, words: str) -> int:
        """Count the lines of its log that have these words."""
        return sum(words in line for line in self.log.read_text().splitlines())

    def leads(self) -> bool:
        """Say whether it leads, by what it said last."""
        lines = [line for line in self.log.read_text().splitlines() if "what=receivers" in line]
        return bool(lines) and "no more" not in lines[-1]

    def echoes(self) -> bool:
        """Say whether it answers a C-ECHO."""
        return failure(self.address) is None

    def wait_until_it_echoes(self) -> None:
        """Wait for its first answer."""
        wait_for("answer to a C-ECHO", self.echoes)


def failure(address: Address) -> str | None:
    """Open an association, echo and release it; say what failed, if anything did."""
    at = "connection"
    try:
        with Scu(address, VERIFIED) as scu:
            at = "echo"
            if scu.echo() != DimseStatus.SUCCESS:
                return "another status"
            at = "release"
            return None if scu.release()[:1] == b"\x06" else "no answer to the release"
    except OSError as error:
        return f"{at}: {error!r}"


@contextmanager
def receivers(folder: Path, *given: Settings) -> Iterator[list[Receiver]]:
    """Give a receiver for each settings, not started yet; kill what runs in the end."""
    beside = [
        Receiver(
            at_home(settings, folder / f"home-{number}"),
            folder / f"receiver-{number}.log",
            open_port("127.0.0.1", 0),
        )
        for number, settings in enumerate(given)
    ]
    try:
        yield beside
    finally:
        for receiver in beside:
            if hasattr(receiver, "process"):
                receiver.kill()
                sys.stdout.write(receiver.log.read_text()[-5000:])
            receiver.listener.close()
            with suppress(Exception), client(receiver.settings) as connection:
                connection.shutdown(nosave=True)


def at_home(settings: Settings, home: Path) -> Settings:
    """Give the settings of a receiver with a home of its own and the storage that they name."""
    return settings.model_copy(update={"home": home, "storage_dir": settings.storage})


@dataclass
class Echoes(threading.Thread):
    """Connects, echoes and releases in a tight loop, and counts how that went."""

    address: Address
    answered: int = 0
    failures: list[str] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        """Echo until it is enough."""
        while not self.enough.is_set():
            failed = failure(self.address)
            if failed is None:
                self.answered += 1
            else:
                self.failures.append(failed)

    def wait_for_more(self) -> None:
        """Wait for another ten answers."""
        before = self.answered
        wait_for("more answers", lambda: self.answered >= before + 10)
