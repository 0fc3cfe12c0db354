"""PDUs on a connection (PS3.8 section 9.3), read in pieces so that none is ever held whole.

A P-DATA-TF PDU may announce 4 GB; whatever it announces, a connection costs one buffer.
"""

import socket
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from pynetdicom.pdu import A_ABORT_RQ

BUFFER_BYTES: Final = 576 * 1024  # a CT slice and its PDU headers
MAX_CONTROL_BYTES: Final = 256 * 1024  # the longest A-ASSOCIATE-RQ: 128 contexts, 45 syntaxes each
PDU_HEADER: Final = struct.Struct(">BxL")  # PDU-type, reserved, PDU-length
PDV_HEADER: Final = struct.Struct(">LBB")  # item length, presentation context, message control
COMMAND: Final = 0b01  # message control header, PS3.8 annex E.2
LAST_FRAGMENT: Final = 0b10


class PduType(IntEnum):
    """The seven PDUs (PS3.8 section 9.3.1)."""

    A_ASSOCIATE_RQ = 0x01
    A_ASSOCIATE_AC = 0x02
    A_ASSOCIATE_RJ = 0x03
    P_DATA_TF = 0x04
    A_RELEASE_RQ = 0x05
    A_RELEASE_RP = 0x06
    A_ABORT = 0x07


class AbortReason(IntEnum):
    """Why the service provider aborts (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER_VALUE = 6


class ProtocolError(Exception):
    """The peer broke the protocol; the association is aborted (PS3.8 section 9.2.3, AA-8)."""

    def __init__(self, message: str, reason: AbortReason) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectionLostError(Exception):
    """The peer closed the transport connection, or was silent for too long."""


class PduHeader(NamedTuple):
    """What comes next on the connection."""

    type: PduType
    length: int


class PdvFragment(NamedTuple):
    """A part of a presentation data value; `data` is valid until the next one is read.

    Attributes
    ----------
    is_last
        Whether it ends the command set or the dataset that it belongs to.
    """

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


class PduReader:
    """Reads PDUs from a connection through one buffer."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = memoryview(bytearray(BUFFER_BYTES))
        self._start = self._end = 0
        self._deadline: float | None = None

    def expect_within(self, seconds: float) -> None:
        """Give the peer so long in all for what is read from now on (ARTIM, PS3.8 9.1.5)."""
        self._deadline = time.monotonic() + seconds

    def allow_silence(self, seconds: float) -> None:
        """Give the peer so long between any two signs of life."""
        self._deadline = None
        self._connection.settimeout(seconds)

    def header(self) -> PduHeader:
        """Read the header of the next PDU."""
        number, length = PDU_HEADER.unpack(self._take(PDU_HEADER.size))
        try:
            return PduHeader(PduType(number), length)
        except ValueError:
            raise ProtocolError(
                f"PDU of type 0x{number:02X}", AbortReason.UNRECOGNIZED_PDU
            ) from None

    def body(self, length: int) -> bytes:
        """Read the body of a PDU that carries no data."""
        if length > MAX_CONTROL_BYTES:
            raise ProtocolError(f"PDU of {length} bytes", AbortReason.INVALID_PARAMETER_VALUE)
        return b"".join(map(bytes, self._pieces(length)))

    def data_values(self, length: int) -> Iterator[PdvFragment]:
        """Read the presentation data values of a P-DATA-TF PDU (PS3.8 section 9.3.5)."""
        while length > 0:
            item_length, context_id, control = PDV_HEADER.unpack(self._take(PDV_HEADER.size))
            length -= 4 + item_length
            if item_length < 2 or length < 0:
                raise ProtocolError("PDV longer than its PDU", AbortReason.INVALID_PARAMETER_VALUE)
            yield from self._data_value(context_id, control, item_length - 2)

    def discard_until_closed(self) -> None:
        """Read until the peer closes the connection (Sta13)."""
        while True:
            self._start = self._end = 0
            self._receive()

    def _data_value(self, context_id: int, control: int, length: int) -> Iterator[PdvFragment]:
        is_command, ends = bool(control & COMMAND), bool(control & LAST_FRAGMENT)
        if length == 0:
            yield PdvFragment(context_id, is_command, ends, self._buffer[:0])
        for data in self._pieces(length):
            length -= len(data)
            yield PdvFragment(context_id, is_command, ends and length == 0, data)

    def _pieces(self, length: int) -> Iterator[memoryview]:
        while length > 0:
            if self._start == self._end:
                self._start = self._end = 0
                self._receive()
            data = self._buffer[self._start : min(self._end, self._start + length)]
            self._start += len(data)
            length -= len(data)
            yield data

    def _take(self, length: int) -> memoryview:
        """Give the next few bytes in one piece."""
        if self._start + length > BUFFER_BYTES or self._start == self._end:
            rest = bytes(self._buffer[self._start : self._end])
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        while self._end - self._start < length:
            self._receive()
        self._start += length
        return self._buffer[self._start - length : self._start]

    def _receive(self) -> None:
        if self._deadline is not None:
            left_s = self._deadline - time.monotonic()
            if left_s <= 0:
                raise ConnectionLostError("the peer was silent for too long")
            self._connection.settimeout(left_s)
        try:
            count = self._connection.recv_into(self._buffer[self._end :])
        except OSError as error:
            raise ConnectionLostError(str(error)) from error
        if count == 0:
            raise ConnectionLostError("the peer closed the connection")
        self._end += count


def encode_data(context_id: int, command: bytes, max_length: int) -> bytes:
    """Put a command set into P-DATA-TF PDUs no longer than the peer takes (PS3.8 annex D.1).

    Parameters
    ----------
    max_length
        The peer's Maximum Length Received; 0 for no limit.
    """
    size = max(max_length - PDV_HEADER.size, 1) if max_length else len(command)
    parts = [command[start : start + size] for start in range(0, len(command), size)]
    return b"".join(
        PDU_HEADER.pack(PduType.P_DATA_TF, len(part) + PDV_HEADER.size)
        + PDV_HEADER.pack(
            len(part) + 2, context_id, COMMAND | (LAST_FRAGMENT if part is parts[-1] else 0)
        )
        + part
        for part in parts
    )


def encode_abort(reason: AbortReason) -> bytes:
    """Encode the A-ABORT of a service provider (PS3.8 section 9.3.8)."""
    abort = A_ABORT_RQ()
    abort.source = 0x02  # DICOM UL service-provider
    abort.reason_diagnostic = reason
    return abort.encode()
