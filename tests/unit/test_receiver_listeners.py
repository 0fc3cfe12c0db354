"""Listening sockets that are handed in: taken by their names, and for this process alone."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from structlog.testing import capture_logs

from receiver.processes import listeners
from receiver.processes.listeners import PLAIN, STOW, TLS, open_port, open_ports
from schema.errors import SettingsError
from schema.settings import Settings
from tests.support.receivers import write_certificates


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, dicom_port=0)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Hand a socket to this process, by whatever descriptor it has."""
    handed = open_port("127.0.0.1", 0)
    copy = os.dup(handed.fileno())
    monkeypatch.setattr(listeners, "FIRST", copy)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_FDNAMES", PLAIN)
    yield handed
    handed.close()


def test_a_socket_that_is_handed_in_is_taken_by_its_name(
    settings: Settings, given: socket.socket
) -> None:
    opened = open_ports(settings)
    assert opened[PLAIN].getsockname() == given.getsockname()
    assert not opened[PLAIN].get_inheritable()
    assert "LISTEN_FDS" not in os.environ
    opened[PLAIN].close()


def test_a_socket_for_another_process_is_left_to_it(
    settings: Settings, given: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    opened = open_ports(settings)
    assert opened[PLAIN].getsockname() != given.getsockname()
    opened[PLAIN].close()
    os.close(listeners.FIRST)


@pytest.mark.parametrize("name", [STOW, "ihsnet-receiver.socket"])
def test_a_socket_that_nobody_would_serve_is_refused_with_the_names_that_may_be(
    settings: Settings, given: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("LISTEN_FDNAMES", name)
    with pytest.raises(SettingsError, match=rf"handed in as '{name}'.* may be plain"):
        open_ports(settings)
    os.close(listeners.FIRST)


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
def test_what_cannot_be_listened_on_is_said_by_its_settings(settings: Settings, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own = {"dicom_host": host, "dicom_port": taken.getsockname()[1]}
        with pytest.raises(SettingsError, match=r"TRIAGE_DICOM_HOST, TRIAGE_DICOM_PORT: .*choose"):
            open_ports(settings.model_copy(update=own))


def test_a_port_without_tls_that_is_switched_off_is_closed_and_the_one_with_tls_opens(
    settings: Settings, given: socket.socket, tmp_path: Path
) -> None:
    files = write_certificates(tmp_path / "tls", trustme.CA(), "localhost")
    tls = {"tls_certificate": files.certificate, "tls_key": files.key, "tls_ca": files.authority}
    own = settings.model_copy(update={"dicom_plain": False, "tls_port": 0, **tls})
    with capture_logs() as lines:
        opened = open_ports(own)
    assert opened.keys() == {TLS}
    opened[TLS].close()
    assert "ihsnet-receiver.socket" in lines[0]["put_right"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(listeners.FIRST)
