"""MLLP: one message over TCP, framed, and its acknowledgement (HL7 transport specification)."""

import socket
from contextlib import closing
from typing import Final

import hl7

from worker.delivery.destinations import Hl7Destination
from worker.delivery.statuses import DestinationDownError, NotNowError, check_ack
from worker.delivery.transport import tls_context

START: Final = b"\x0b"
END: Final = b"\x1c\r"
LONGEST_ACK: Final = 1 << 20


def connect(target: Hl7Destination) -> socket.socket:
    """Connect, with TLS where it is set.

    Raises
    ------
    DestinationDownError
        It is not reachable.
    """
    where = f"{target.host}:{target.port}"
    context = tls_context(target)
    try:
        plain = socket.create_connection((target.host, target.port), target.timeout_s)
    except OSError as error:
        raise DestinationDownError(f"{where} is not reachable: {error}") from error
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=target.host)
    except OSError as error:
        plain.close()
        raise DestinationDownError(f"{where}: no TLS: {error}") from error


def send(target: Hl7Destination, text: str, key: str) -> None:
    """Send one message and wait for its acknowledgement.

    Raises
    ------
    DestinationDownError
        It is not reachable or does not answer.
    NotNowError, RefusedError
        It acknowledged with another code than AA.
    """
    with closing(connect(target)) as connection:
        try:
            connection.sendall(START + text.encode() + END)
            answer = _receive(connection)
        except OSError as error:
            reason = f"no acknowledgement from {target.host}:{target.port}: {error}"
            raise DestinationDownError(reason) from error
    _check(answer, key)


def _receive(connection: socket.socket) -> bytes:
    data = b""
    while not data.endswith(END):
        piece = connection.recv(65536)
        if not piece or len(data) > LONGEST_ACK:
            raise ConnectionResetError("the connection ended before the acknowledgement did")
        data += piece
    return data


def _check(answer: bytes, key: str) -> None:
    text = answer.removeprefix(START).removesuffix(END).decode("utf-8", "replace").strip()
    try:
        msa = hl7.parse(text + "\r").segment("MSA")
        code, about = str(msa[1]), str(msa[2])
        said = str(msa[3]) if len(msa) > 3 else ""
    except (hl7.HL7Exception, KeyError, IndexError) as error:
        raise NotNowError("the acknowledgement has no MSA segment; it is sent again") from error
    if about and about != key:
        raise NotNowError("the acknowledgement is of another message; it is sent again")
    check_ack(code, said)
