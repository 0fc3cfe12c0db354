"""PDUs, however the network cuts them."""

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from receiver.protocol.pdu import (
    BUFFER_BYTES,
    MAX_CONTROL_BYTES,
    AbortReason,
    ConnectionLostError,
    PduReader,
    PduType,
    ProtocolError,
    encode_data,
)

Ends = tuple[socket.socket, PduReader]


@pytest.fixture
def ends() -> Iterator[Ends]:
    peer, connection = socket.socketpair()
    with peer, connection:
        reader = PduReader(connection)
        reader.allow_silence(5)
        yield peer, reader


def pdv(data: bytes, control: int = 2, context_id: int = 1) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def pdata(*items: bytes) -> bytes:
    body = b"".join(items)
    return struct.pack(">BxL", PduType.P_DATA_TF, len(body)) + body


def read(reader: PduReader) -> list[tuple[int, bool, bool, bytes]]:
    header = reader.header()
    return [
        (fragment.context_id, fragment.is_command, fragment.is_last, bytes(fragment.data))
        for fragment in reader.data_values(header.length)
    ]


def test_a_pdu_that_arrives_byte_by_byte_is_read_as_one(ends: Ends) -> None:
    peer, reader = ends
    for byte in pdata(pdv(b"dataset")):
        peer.send(bytes([byte]))
    assert b"".join(data for *_, data in read(reader)) == b"dataset"


def test_several_values_in_one_pdu_keep_their_contexts_and_kinds(ends: Ends) -> None:
    peer, reader = ends
    peer.send(pdata(pdv(b"command", 3, 5), pdv(b"data", 0, 7)))
    assert read(reader) == [(5, True, True, b"command"), (7, False, False, b"data")]


def test_an_empty_last_fragment_ends_its_dataset(ends: Ends) -> None:
    peer, reader = ends
    peer.send(pdata(pdv(b"")))
    assert read(reader) == [(1, False, True, b"")]


def test_a_value_longer_than_the_buffer_comes_in_pieces_of_which_one_is_last(ends: Ends) -> None:
    peer, reader = ends
    content = bytes(range(256)) * (BUFFER_BYTES // 100)
    sender = threading.Thread(target=peer.sendall, args=(pdata(pdv(content)) * 2,))
    sender.start()
    for _ in range(2):
        pieces = read(reader)
        assert b"".join(data for *_, data in pieces) == content
        assert [is_last for _, _, is_last, _ in pieces] == [False] * (len(pieces) - 1) + [True]
    sender.join()


def test_a_pdu_of_an_unknown_type_is_unrecognized(ends: Ends) -> None:
    peer, reader = ends
    peer.send(b"\x09\0\0\0\0\0")
    with pytest.raises(ProtocolError) as caught:
        reader.header()
    assert caught.value.reason == AbortReason.UNRECOGNIZED_PDU


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_value_that_does_not_fit_its_pdu_is_refused(ends: Ends, length: int) -> None:
    peer, reader = ends
    item = struct.pack(">LBB", length, 1, 2) + b"1234"
    peer.send(pdata(item))
    with pytest.raises(ProtocolError):
        read(reader)


def test_a_request_longer_than_any_is_refused_unread(ends: Ends) -> None:
    _, reader = ends
    with pytest.raises(ProtocolError):
        reader.body(MAX_CONTROL_BYTES + 1)


def test_a_peer_that_hangs_up_amid_a_pdu_is_lost(ends: Ends) -> None:
    peer, reader = ends
    peer.send(pdata(pdv(b"dataset"))[:-3])
    peer.close()
    with pytest.raises(ConnectionLostError):
        read(reader)


def test_the_artim_timer_counts_in_all_and_not_from_byte_to_byte(ends: Ends) -> None:
    peer, reader = ends
    reader.expect_within(0.2)
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.02):
            peer.send(b"\x01")

    dripping = threading.Thread(target=drip)
    dripping.start()
    with pytest.raises(ConnectionLostError):
        reader.body(MAX_CONTROL_BYTES)
    stop.set()
    dripping.join()


@pytest.mark.parametrize("max_length", [0, 7, 12, 64, 16_384])
def test_a_response_fits_the_peers_maximum_length(ends: Ends, max_length: int) -> None:
    peer, reader = ends
    command = bytes(range(100))
    peer.send(encode_data(3, command, max_length))
    pieces: list[Any] = []
    while not pieces or not pieces[-1][2]:
        header = reader.header()
        assert header.length <= max_length or not max_length
        pieces += [
            (fragment.context_id, fragment.is_command, fragment.is_last, bytes(fragment.data))
            for fragment in reader.data_values(header.length)
        ]
    assert b"".join(data for *_, data in pieces) == command
