"""The acceptor processes: they share one port, and one that dies is started again at once.

Python runs one thread at a time, so several processes take the connections. They wait on one
listening socket, which the kernel hands round: whoever is idle gets the next connection, and the
port stays open while a process is started again.
"""

import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from receiver.access.shared_places import make_places
from receiver.access.tls import TlsFiles, acceptor_context
from receiver.counts import clear_counts, counting_environment, forget_process
from receiver.inbox import Inbox
from schema.errors import SettingsError
from schema.settings import Settings

log = structlog.get_logger()

BACKLOG: Final = 256
RESTART_PAUSE_S: Final = 1.0  # only for one that dies as soon as it starts
STOP_DEADLINE_S: Final = 5.0
PLAIN: Final = "plain"  # the kinds of port, as an acceptor is told of them
TLS: Final = "tls"
STOW: Final = "stow"
LOCK: Final = "receiver.lock"
LOCK_DEADLINE_S: Final = 10.0


@dataclass(frozen=True)
class Program:
    """A kind of process: its module, and the kinds of port that it serves."""

    module: str
    kinds: tuple[str, ...]


ACCEPTOR: Final = Program("receiver.association.process", (PLAIN, TLS))
STOW_SERVER: Final = Program("receiver.stow.app", (STOW,))


class AcceptorPool:
    """Starts the acceptor processes and keeps them running."""

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self._settings = settings
        self._inbox = inbox
        self._lock = hold_storage(settings.storage)
        self._places = make_places()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._watchers: list[threading.Thread] = []
        self._listeners: dict[str, socket.socket] = {}

    def start(self) -> dict[str, tuple[str, int]]:
        """Open the ports and start the processes; return the address of each port.

        Raises
        ------
        SettingsError
            If TLS is asked for and its files are missing or no good.
        """
        self._listeners = open_ports(self._settings)
        clear_counts(self._settings)
        programs = [ACCEPTOR] * self._settings.acceptor_count
        programs += [STOW_SERVER] if STOW in self._listeners else []
        for program in programs:
            watcher = threading.Thread(target=self._keep_running, args=(program,))
            self._watchers.append(watcher)
            watcher.start()
        return {kind: listener.getsockname()[:2] for kind, listener in self._listeners.items()}

    def count(self) -> int:
        """Count the processes that run."""
        return sum(process.poll() is None for process in list(self._processes))

    def stop(self) -> None:
        """Close the port and end the processes."""
        with self._starting:
            self._stopping.set()
            for process in self._processes:
                process.terminate()
        deadline = time.monotonic() + STOP_DEADLINE_S
        for watcher in self._watchers:
            watcher.join(max(deadline - time.monotonic(), 0))
        for process in list(self._processes):
            process.kill()
        for listener in self._listeners.values():
            listener.close()
        os.close(self._places)
        os.close(self._lock)

    def _keep_running(self, program: Program) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            name = f"{uuid.uuid4().hex[:8]}-"
            process = self._start(program, name)
            if process is None:
                return
            status = process.wait()
            self._forget(process)
            self._inbox.close_abandoned(name)
            if not self._stopping.is_set():
                log.error("acceptor died, starting another", status=status, module=program.module)
            if time.monotonic() - started < RESTART_PAUSE_S:
                self._stopping.wait(RESTART_PAUSE_S)

    def _start(self, program: Program, name: str) -> subprocess.Popen[bytes] | None:
        descriptors = {
            kind: listener.fileno()
            for kind, listener in self._listeners.items()
            if kind in program.kinds
        }
        command = [sys.executable, "-m", program.module, name, str(self._places)]
        command += [f"{kind}={descriptor}" for kind, descriptor in descriptors.items()]
        with self._starting:
            if self._stopping.is_set():
                return None
            # Standard input is a pipe that we never write to: it closes when we die, however.
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                pass_fds=(*descriptors.values(), self._lock, self._places),
                env={**os.environ, **counting_environment(self._settings)},
            )
            self._processes.add(process)
            return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.discard(process)
        forget_process(self._settings, process.pid)
        if process.stdin is not None:
            process.stdin.close()


def end_with_the_parent() -> None:
    """End a child when its standard input closes: only the parent holds the other end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)  # at once: what was acknowledged is safe, and nobody watches us any more


def open_ports(settings: Settings) -> dict[str, socket.socket]:
    """Listen on the port without TLS, on the one with it, or on both."""
    files = TlsFiles.of(settings)
    listeners = {}
    if settings.dicom_plain:
        listeners[PLAIN] = open_port(settings.dicom_host, settings.dicom_port)
    if files is not None and settings.tls_port is not None:
        acceptor_context(files)  # what is wrong with the files is said once, before all starts
        listeners[TLS] = open_port(settings.dicom_host, settings.tls_port)
    if settings.stow_token is not None:
        listeners[STOW] = open_port(settings.stow_host, settings.stow_port)
    if not listeners.keys() & set(ACCEPTOR.kinds):
        raise SettingsError("TRIAGE_DICOM_PLAIN=false needs TRIAGE_TLS_PORT")
    return listeners


def open_port(host: str, port: int) -> socket.socket:
    """Listen on a port; 0 for any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def hold_storage(storage: Path) -> int:
    """Claim the inbox for this receiver and its acceptors; return the lock's descriptor.

    The acceptors inherit it, so that it is free only when the last of an earlier receiver's is
    gone: one that still wrote while the next receiver cleans up could lose its association's end.

    Raises
    ------
    SettingsError
        If another receiver works on the same storage.
    """
    descriptor = os.open(storage / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_DEADLINE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SettingsError(f"another receiver works on {storage}") from None
            time.sleep(0.05)
        else:
            return descriptor
