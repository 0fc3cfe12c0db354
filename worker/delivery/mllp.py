"""MLLP: one message over TCP, framed, and its acknowledgement (HL7 transport specification)."""

import socket
from contextlib import closing
from typing import Final

import hl7

from worker.delivery.destinations import Hl7Destination
from worker.delivery.statuses import DestinationDownError, NotNowError, check_ack
from worker.delivery.transport import connect

START: Final = b"\x0b"
END: Final = b"\x1c\r"
LONGEST_ACK: Final = 1 << 20


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
