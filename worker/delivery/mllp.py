"""MLLP: one message over TCP, framed, and its acknowledgement (HL7 transport specification)."""

import socket
import time
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
        until = time.monotonic() + target.timeout_s
        try:
            connection.sendall(START + text.encode() + END)
            answer = _receive(connection, until)
        except OSError as error:
            reason = f"no acknowledgement from {target.host}:{target.port}: {error}"
            raise DestinationDownError(reason) from error
    _check(answer, key)


def _receive(connection: socket.socket, until: float) -> bytes:
    """Receive an acknowledgement; a socket's own time is for each piece of it."""
    data = b""
    while not data.endswith(END):
        left_s = until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        connection.settimeout(left_s)
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
