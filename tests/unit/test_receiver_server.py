"""What ends neither who listens nor who watches: no thread, no lock, no disk."""

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from receiver.access.peer_limits import PeerLimiter
from receiver.access.shared_places import SharedPlaces, make_places
from receiver.association.server import StorageScp
from receiver.inbox import Inbox
from receiver.processes import pool as pools
from receiver.processes.pool import ACCEPTOR, AcceptorPool, Program
from receiver.roster import Presence
from schema.settings import Settings
from tests.support.deadline import DEADLINE_S
from tests.support.receivers import echo_once, environment, is_closed
from tests.support.scu import Address

FULL = OSError(errno.ENOSPC, "No space left on device")


def failing_once(call: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    """Let a function fail the first time it is called."""
    errors = [error]

    @wraps(call)
    def run(*given: Any, **named: Any) -> Any:
        if errors:
            raise errors.pop()
        return call(*given, **named)

    return run


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, dicom_port=0, acceptors=1)


@pytest.fixture
def places() -> Iterator[int]:
    descriptor = make_places()
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def scp(settings: Settings, places: int) -> StorageScp:
    return StorageScp(settings, Inbox(settings.storage, 0), SharedPlaces(places))


@pytest.fixture
def address(scp: StorageScp) -> Iterator[Address]:
    listener = socket.create_server(("127.0.0.1", 0))
    listening = threading.Thread(target=scp.listen, args=(listener,))
    listening.start()
    yield listener.getsockname()
    scp.take_no_more()
    listening.join()
    scp.stop()
    listener.close()


def test_where_no_thread_can_be_started_the_next_connection_is_served(
    scp: StorageScp, address: Address, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    fails = failing_once(start, RuntimeError("can't start new thread"))

    def begin(thread: threading.Thread) -> None:
        is_served = getattr(thread, "_target", None) == scp._serve
        (fails if is_served else start)(thread)

    monkeypatch.setattr(threading.Thread, "start", begin)
    with socket.create_connection(address) as connection:
        assert is_closed(connection)
    assert SharedPlaces(places).take("127.0.0.1", 1) == 0  # it holds no place any more
    assert echo_once(address) == "echoed"


def test_where_no_connection_can_be_counted_the_next_one_is_served(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr(PeerLimiter, "connect", failing_once(PeerLimiter.connect, error))
    with socket.create_connection(address) as connection:
        assert is_closed(connection)
    assert echo_once(address) == "echoed"


def test_a_process_that_listens_no_more_ends(tmp_path: Path, places: int) -> None:
    log = tmp_path / "log"
    with environment({"home": tmp_path}), socket.socket() as deaf, log.open("wb") as written:
        deaf.bind(("127.0.0.1", 0))  # and does not listen
        port = f"plain={deaf.fileno()}"
        process = subprocess.Popen(
            [sys.executable, "-m", ACCEPTOR.module, "a-", str(places), port],
            stdin=subprocess.PIPE,  # open, else it would end with us
            stderr=written,
            pass_fds=(places, deaf.fileno()),
        )
        with process:
            assert process.wait(DEADLINE_S) == 1
    assert "it listens no more" in log.read_text()


@pytest.mark.parametrize("fails", ["close_abandoned", "forget_process", "Popen"])
def test_an_acceptor_is_started_again_whatever_fails_when_it_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    closed: set[str] = set()
    third = threading.Event()

    def close(_: Inbox, acceptor: str) -> None:
        closed.add(acceptor)
        if len(closed) == 3:
            third.set()

    monkeypatch.setattr(Inbox, "close_abandoned", close)
    where = {"close_abandoned": Inbox, "forget_process": pools, "Popen": subprocess}[fails]
    monkeypatch.setattr(where, fails, failing_once(getattr(where, fails), FULL))
    monkeypatch.setattr(pools, "RESTART_PAUSE_S", 0.01)
    monkeypatch.setattr(pools, "ACCEPTOR", Program("__future__", ACCEPTOR.kinds))  # ends at once
    presence = Presence(settings.storage)
    pool = AcceptorPool(settings, Inbox(settings.storage, 0), presence)
    pool.start()
    try:
        assert third.wait(DEADLINE_S)
    finally:
        pool.stop()
        presence.leave()
