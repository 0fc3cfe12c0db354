"""MLLP: one message over TCP, framed, and its acknowledgement (HL7 transport specification)."""

import re
import socket
import time
from contextlib import closing
from typing import Final

import hl7

from worker.delivery.destinations import Hl7Destination
from worker.delivery.statuses import ConnectionLostError, NotNowError, check_ack
from worker.delivery.transport import connect

START: Final = b"\x0b"
END_OF_BLOCK: Final = b"\x1c"
END: Final = END_OF_BLOCK + b"\r"
LONGEST_ACK: Final = 1 << 20


def send(target: Hl7Destination, text: str, key: str) -> None:
    """Send one message and wait for its acknowledgement.

    Raises
    ------
    DestinationDownError
        It is not reachable; `ConnectionLostError` where it was and does not answer.
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
            raise ConnectionLostError(reason) from error
    _check(answer, key)


def _receive(connection: socket.socket, until: float) -> bytes:
    """Receive an acknowledgement; a socket's own time is for each piece of it.

    Not every engine sends the carriage return behind the end of the block, or that alone.
    """
    data = b""
    while END_OF_BLOCK not in data:
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
    """Take an acknowledgement; one that names no message is of the one that was sent here."""
    block = answer.partition(END_OF_BLOCK)[0].decode("utf-8", "replace")
    segments = re.split(r"[\r\n]+", block.strip("\x0b\ufeff\r\n "))
    try:
        msa = hl7.parse("\r".join(segments) + "\r").segment("MSA")
        code, about, said = (str(msa[n]).strip() if n < len(msa) else "" for n in (1, 2, 3))
    except (hl7.HL7Exception, KeyError, IndexError) as error:
        raise NotNowError("the acknowledgement has no MSA segment; it is sent again") from error
    if about and about != key:
        raise NotNowError("the acknowledgement is of another message; it is sent again")
    check_ack(code, said)
