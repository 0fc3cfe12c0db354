"""Who gets in at the front door, and that nobody can lock it."""

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from select import select
from signal import SIGKILL

import pytest
import trustme
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from receiver.access.tls import TlsFiles, late_acceptor_context, requestor_context
from tests.support.deadline import DEADLINE_S
from tests.support.phantoms import Phantom, write
from tests.support.processes import wait_for
from tests.support.receivers import (
    acceptor_processes,
    acceptors,
    count_files,
    dcmtk,
    echo_once,
    is_closed,
    write_certificates,
)
from tests.support.scu import Address, Scu

pytestmark = pytest.mark.slow  # starts a receiver for each test

NOT_RECOGNISED_CALLING, NOT_RECOGNISED_CALLED = "rejected 1.1.3", "rejected 1.1.7"
LOCAL_LIMIT_EXCEEDED = "rejected 2.3.2"
ANOTHER_PEER = ("127.0.0.2", 0)


@dataclass(frozen=True)
class Door:
    """A receiver with both ports, and certificates of two authorities."""

    plain: Address
    tls: Address
    scanner: TlsFiles
    stranger: TlsFiles


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    authority = trustme.CA()
    own = write_certificates(folder / "own", authority, "receiver.example")
    scanner = write_certificates(folder / "scanner", authority, "ct2.example")
    stranger = write_certificates(folder / "stranger", trustme.CA(), "ct2.example")
    stranger = TlsFiles(stranger.certificate, stranger.key, own.authority)
    given = {
        "callers": "CT1@127.0.0.0/8,CT2@127.0.0.0/8,CT3@127.0.0.0/8,FAR@10.0.0.0/8",
        "caller_certificates": "CT2=ct2.example,CT3=ct3.example",
        "tls_port": 0,
        "tls_certificate": own.certificate,
        "tls_key": own.key,
        "tls_ca": own.authority,
    }
    with acceptors(folder / "home", **given) as ports:
        yield Door(ports["plain"], ports["tls"], scanner, stranger)


@pytest.mark.parametrize(
    ("calling", "called", "answer"),
    [
        ("CT1", "IHSNET", "echoed"),
        ("CT1", "OTHER", NOT_RECOGNISED_CALLED),
        ("CT9", "IHSNET", NOT_RECOGNISED_CALLING),
        ("FAR", "IHSNET", NOT_RECOGNISED_CALLING),
        ("CT2", "IHSNET", NOT_RECOGNISED_CALLING),  # only with its certificate
    ],
)
def test_the_plain_port_lets_in_who_is_on_the_list(
    door: Door, calling: str, called: str, answer: str
) -> None:
    assert echo_once(door.plain, calling, called) == answer


@pytest.mark.parametrize(
    ("calling", "called", "answer"),
    [
        ("CT1", "IHSNET", "echoed"),
        ("CT2", "IHSNET", "echoed"),
        ("CT3", "IHSNET", NOT_RECOGNISED_CALLING),  # another's certificate
        ("CT2", "OTHER", NOT_RECOGNISED_CALLED),
    ],
)
def test_the_tls_port_ties_a_caller_to_its_certificate(
    door: Door, calling: str, called: str, answer: str
) -> None:
    context = requestor_context(door.scanner)
    assert echo_once(door.tls, calling, called, tls_args=(context, "receiver.example")) == answer


def test_a_certificate_of_another_authority_is_refused(door: Door) -> None:
    assert is_refused_tls(door.tls, requestor_context(door.stranger))


def test_no_certificate_is_refused(door: Door) -> None:
    assert is_refused_tls(door.tls, ssl.create_default_context(cafile=door.scanner.authority))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
def test_tls_1_1_is_refused(door: Door) -> None:
    context = requestor_context(door.scanner)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert is_refused_tls(door.tls, context)


def test_tls_1_2_and_1_3_are_spoken(door: Door) -> None:
    context = requestor_context(door.scanner)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert not is_refused_tls(door.tls, context)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    assert not is_refused_tls(door.tls, context)


def is_refused_tls(address: Address, context: ssl.SSLContext) -> bool:
    """Say whether the handshake fails; with TLS 1.3 the server's word comes after it."""
    with socket.create_connection(address, timeout=2) as connection:
        try:
            with context.wrap_socket(connection, server_hostname="receiver.example") as secured:
                secured.recv(1)
        except TimeoutError:
            return False  # it waits for our A-ASSOCIATE-RQ
        except OSError:
            return True
    return True


def test_plain_text_on_the_tls_port_is_refused(door: Door) -> None:
    with socket.create_connection(door.tls) as connection:
        connection.sendall(b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00" + bytes(195))
        assert is_closed(connection)


def test_a_silent_connection_to_the_tls_port_holds_up_nobody(door: Door) -> None:
    context = requestor_context(door.scanner)
    with socket.create_connection(door.tls) as silent:
        assert echo_once(door.tls, "CT1", tls_args=(context, "receiver.example")) == "echoed"
        assert is_closed(silent)


@pytest.mark.parametrize("profile", ["+py", "+px", "+pz"])
def test_storescu_of_dcmtk_sends_over_our_tls(door: Door, tmp_path: Path, profile: str) -> None:
    (path,) = write([Phantom((0.0,)).dataset(0)], tmp_path)
    host, port = door.tls
    tls = ["+tls", door.scanner.key, door.scanner.certificate, "+cf", door.scanner.authority]
    command = [dcmtk("storescu"), profile, *tls, "-aet", "CT2", "-aec", "IHSNET", host, str(port)]
    subprocess.run([*command, path], check=True, capture_output=True, timeout=DEADLINE_S)


def test_twelve_idle_sockets_of_one_peer_do_not_lock_out_another(tmp_path: Path) -> None:
    limits = {"max_associations": 8, "associations_per_peer": 6}
    with acceptors(tmp_path, **limits) as ports, ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(ports["plain"])) for _ in range(16)]
        assert echo_once(ports["plain"], bind_address=ANOTHER_PEER) == "echoed"
        assert all(is_closed(connection) for connection in idle)


def test_a_silent_connection_to_pynetdicoms_tls_server_holds_up_nobody(door: Door) -> None:
    ae = AE("IHSNET")
    ae.add_supported_context(Verification)
    context = late_acceptor_context(door.scanner)
    server = ae.start_server(("127.0.0.1", 0), block=False, ssl_context=context)
    address = server.server_address
    context = requestor_context(door.scanner)
    with socket.create_connection(address):
        assert echo_once(address, tls_args=(context, "receiver.example")) == "echoed"
        assert is_refused_tls(address, ssl.create_default_context(cafile=door.scanner.authority))
    server.shutdown()


def test_an_association_above_the_peers_limit_is_rejected_for_now(tmp_path: Path) -> None:
    with acceptors(tmp_path, associations_per_peer=2) as ports, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Scu(ports["plain"]))
        assert echo_once(ports["plain"]) == LOCAL_LIMIT_EXCEEDED
        assert echo_once(ports["plain"], bind_address=ANOTHER_PEER) == "echoed"


def test_an_address_has_its_associations_over_all_processes(tmp_path: Path) -> None:
    with (
        acceptors(tmp_path, acceptors=3, associations_per_peer=96) as ports,
        ExitStack() as stack,
    ):
        opened = [stack.enter_context(Scu(ports["plain"])).socket for _ in range(96)]
        assert echo_once(ports["plain"]) == LOCAL_LIMIT_EXCEEDED
        assert echo_once(ports["plain"], bind_address=ANOTHER_PEER) == "echoed"
        busiest = max(acceptor_processes(), key=lambda process: count_files(str(process)))
        os.kill(busiest, SIGKILL)
        # Reaped: before that its command line is gone, and its sockets may still be open.
        wait_for("the end of an acceptor", lambda: not Path(f"/proc/{busiest}").exists())
        lost, _, _ = select(opened, [], [], 0)
        assert lost
        for _ in lost:
            stack.enter_context(Scu(ports["plain"]))
        assert echo_once(ports["plain"]) == LOCAL_LIMIT_EXCEEDED


def test_more_associations_than_a_minute_allows_are_rejected_for_now(tmp_path: Path) -> None:
    with acceptors(tmp_path, associations_per_minute=3) as ports:
        answers = [echo_once(ports["plain"]) for _ in range(5)]
        assert answers == ["echoed"] * 3 + [LOCAL_LIMIT_EXCEEDED] * 2
        assert echo_once(ports["plain"], bind_address=ANOTHER_PEER) == "echoed"
