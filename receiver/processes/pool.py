"""The acceptor processes: they share one port, and one that dies is started again at once.

Python runs one thread at a time, so several processes take the connections. They wait on one
listening socket, which the kernel hands round: whoever is idle gets the next connection, and the
port stays open while a process is started again.
"""

import os
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Final

import structlog

from receiver.access.shared_places import make_places
from receiver.counts import clear_counts, counting_environment, forget_process
from receiver.inbox import Inbox
from receiver.processes.listeners import PLAIN, STOW, TLS, Listeners, open_ports
from receiver.roster import Presence
from schema.errors import describe
from schema.settings import Settings

log = structlog.get_logger()

RESTART_PAUSE_S: Final = 1.0  # only for one that dies as soon as it starts
STOP_DEADLINE_S: Final = 5.0


@dataclass(frozen=True)
class Program:
    """A kind of process: its module, and the kinds of port that it serves."""

    module: str
    kinds: tuple[str, ...]


ACCEPTOR: Final = Program("receiver.association.process", (PLAIN, TLS))
STOW_SERVER: Final = Program("receiver.stow.app", (STOW,))


class AcceptorPool:
    """Starts the acceptor processes and keeps them running.

    Attributes
    ----------
    listeners
        By kind of port.
    """

    def __init__(self, settings: Settings, inbox: Inbox, presence: Presence) -> None:
        self._settings = settings
        self._inbox = inbox
        self._presence = presence
        self._places = make_places()
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._watchers: list[threading.Thread] = []
        self.listeners: Listeners = {}

    def start(self) -> dict[str, tuple[str, int]]:
        """Open the ports and start the processes; return the address of each port.

        Raises
        ------
        SettingsError
            If TLS is asked for and its files are missing or no good.
        """
        self.listeners = open_ports(self._settings)
        clear_counts(self._settings)
        programs = [ACCEPTOR] * self._settings.acceptor_count
        programs += [STOW_SERVER] if STOW in self.listeners else []
        for program in programs:
            watcher = threading.Thread(target=self._keep_running, args=(program,))
            self._watchers.append(watcher)
            watcher.start()
        return {kind: listener.getsockname()[:2] for kind, listener in self.listeners.items()}

    def count(self) -> int:
        """Count the processes that run."""
        return sum(process.poll() is None for process in list(self._processes))

    def stop(self, *, keep_ports: bool = False) -> None:
        """End the processes; whoever connects to a port that is kept waits for the next ones."""
        with self._starting:
            self._stopping.set()
            for process in self._processes:
                process.terminate()
        deadline = time.monotonic() + STOP_DEADLINE_S
        for watcher in self._watchers:
            watcher.join(max(deadline - time.monotonic(), 0))
        for process in list(self._processes):
            process.kill()
        for listener in () if keep_ports else self.listeners.values():
            listener.close()
        os.close(self._places)

    def _keep_running(self, program: Program) -> None:
        left: list[str] = []  # acceptors that ended, and whose associations are not closed yet
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._run_once(program, left)
            except Exception as error:  # noqa: BLE001 - the edge: nobody watches the watcher
                log.error("watching an acceptor fails, goes on", reason=describe(error))
            if time.monotonic() - started < RESTART_PAUSE_S:
                self._stopping.wait(RESTART_PAUSE_S)

    def _run_once(self, program: Program, left: list[str]) -> None:
        name = f"{self._presence.name}-{uuid.uuid4().hex[:8]}-"
        process = self._start(program, name)
        if process is None:
            return
        status = process.wait()
        left.append(name)
        if not self._stopping.is_set():
            log.error("acceptor died, starting another", status=status, module=program.module)
        try:
            while left:
                self._inbox.close_abandoned(left[0])
                left.pop(0)
        finally:
            self._forget(process)

    def _start(self, program: Program, name: str) -> subprocess.Popen[bytes] | None:
        descriptors = {
            kind: listener.fileno()
            for kind, listener in self.listeners.items()
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
                pass_fds=(*descriptors.values(), *self._presence.locks, self._places),
                env={**os.environ, **counting_environment(self._settings)},
            )
            self._processes.add(process)
            return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.discard(process)
        if process.stdin is not None:
            process.stdin.close()
        forget_process(self._settings, process.pid)


def end_with_the_parent() -> None:
    """End a child when its standard input closes: only the parent holds the other end."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)  # at once: what was acknowledged is safe, and nobody watches us any more
