"""Associations with real acceptors: negotiation, order of PDUs, every way to end (PS3.8 9.2)."""

import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC

from receiver.inbox import FOLDER
from schema.dicom import DimseStatus
from tests.support.processes import wait_for
from tests.support.receivers import acceptors, dcmtk, is_closed
from tests.support.scu import (
    ABORT,
    CT,
    EXPLICIT,
    RELEASE_RQ,
    VERIFICATION,
    Address,
    Scu,
    encode,
    image,
)
from tests.support.scu import request as associate_rq

MR = "1.2.840.10008.5.1.4.1.1.4"
DEFLATED = "1.2.840.10008.1.2.1.99"
IMPLICIT = "1.2.840.10008.1.2"
RELEASE_RP, A_ABORT = 0x06, 0x07
NOT_SUPPORTED, SYNTAXES_NOT_SUPPORTED = 3, 4  # Result/Reason, PS3.8 table 9-18


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[Address]:
    with acceptors(home, acceptors=2) as ports:
        yield ports["plain"]


@pytest.fixture
def connection(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, 20) as connected:
        yield connected


def receive(connection: socket.socket) -> bytes:
    header = connection.recv(6, socket.MSG_WAITALL)
    return header + connection.recv(int.from_bytes(header[2:], "big"), socket.MSG_WAITALL)


def test_an_echo_is_answered_as_often_as_it_is_asked(address: Address) -> None:
    with Scu(address, [(VERIFICATION, IMPLICIT)]) as scu:
        assert [scu.echo() for _ in range(3)] == [DimseStatus.SUCCESS] * 3


def test_an_echo_leaves_no_folder(home: Path, address: Address) -> None:
    before = set((home / "storage" / FOLDER).iterdir())
    with Scu(address, [(VERIFICATION, IMPLICIT)]) as scu:
        scu.echo()
        scu.release()
    assert set((home / "storage" / FOLDER).iterdir()) == before


def test_echoscu_of_dcmtk_is_answered(address: Address) -> None:
    host, port = address
    subprocess.run([dcmtk("echoscu"), "-aec", "IHSNET", host, str(port)], check=True)


def test_each_context_is_answered_for_itself(connection: socket.socket) -> None:
    connection.sendall(associate_rq([(MR, EXPLICIT), (CT, DEFLATED), (CT, EXPLICIT)]))
    accept = A_ASSOCIATE_AC()
    accept.decode(receive(connection))
    results = [(context.context_id, context.result) for context in accept.presentation_context]
    assert results == [(1, NOT_SUPPORTED), (3, SYNTAXES_NOT_SUPPORTED), (5, 0)]


def test_all_128_contexts_of_a_request_are_taken(address: Address) -> None:
    with Scu(address, [(CT, EXPLICIT)] * 128) as scu:
        assert len(scu.accepted) == 128
        assert scu.store(CT, "1.2.3", encode(image("1.2.3")), 255) == DimseStatus.SUCCESS


def test_pdus_of_any_length_are_announced(connection: socket.socket) -> None:
    connection.sendall(associate_rq([(CT, EXPLICIT)]))
    accept = A_ASSOCIATE_AC()
    accept.decode(receive(connection))
    assert accept.user_information is not None
    assert accept.user_information.maximum_length == 0


def test_a_release_is_answered_and_the_association_is_over(home: Path, address: Address) -> None:
    with Scu(address) as scu:
        scu.store(CT, "1.2.77", encode(image("1.2.77")))
        assert scu.release()[0] == RELEASE_RP
        wait_for("closed marker", lambda: is_over(home, b"1.2.77"))


def is_over(home: Path, uid: bytes) -> bool:
    """Say whether the association that delivered an object is marked as over."""
    return any(
        uid in path.read_bytes()
        for marker in (home / "storage" / FOLDER).glob("*/closed")
        for path in marker.parent.glob("*.dcm")
    )


def test_an_abort_ends_the_association(address: Address) -> None:
    with Scu(address) as scu:
        scu.socket.sendall(ABORT)
        assert is_closed(scu.socket)


def test_data_before_an_association_is_unexpected(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">BxL", 4, 6) + struct.pack(">LBB", 2, 1, 3))
    assert receive(connection)[0] == A_ABORT


def test_a_second_request_is_unexpected(connection: socket.socket) -> None:
    connection.sendall(associate_rq([(CT, EXPLICIT)]) * 2)
    receive(connection)
    answer = receive(connection)
    assert (answer[0], answer[8], answer[9]) == (A_ABORT, 2, 2)  # service-provider, unexpected PDU


def test_a_pdu_of_no_known_type_is_unrecognized(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    answer = receive(connection)
    assert (answer[0], answer[8], answer[9]) == (A_ABORT, 2, 1)


def test_a_malformed_request_is_aborted(connection: socket.socket) -> None:
    connection.sendall(struct.pack(">BxL", 1, 100) + b"\xff" * 100)
    assert receive(connection)[0] == A_ABORT


def test_data_on_a_context_that_was_not_accepted_aborts(address: Address) -> None:
    with Scu(address, [(CT, EXPLICIT), (MR, EXPLICIT)]) as scu:
        scu.begin_store(MR, "1.2.3", 3)
        assert scu.receive()[0] == A_ABORT


def test_a_connection_that_says_nothing_is_closed(address: Address) -> None:
    with socket.create_connection(address) as silent:
        assert is_closed(silent)


def test_a_sender_that_stops_amid_an_object_holds_up_nobody(address: Address) -> None:
    with Scu(address) as stuck, Scu(address) as other:
        stuck.begin_store(CT, "1.2.3.5")
        stuck.socket.sendall(struct.pack(">BxL", 4, 1_000_000) + b"\0\0")
        assert other.store(CT, "1.2.3.6", encode(image("1.2.3.6"))) == DimseStatus.SUCCESS


def test_requests_after_a_release_are_not_served(address: Address) -> None:
    with Scu(address) as scu:
        scu.socket.sendall(RELEASE_RQ)
        scu.begin_store(CT, "1.2.3")
        assert scu.receive()[0] == RELEASE_RP
        scu.socket.shutdown(socket.SHUT_WR)
        assert scu.receive() == b""
