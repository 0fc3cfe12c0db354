"""DIMSE messages (PS3.7): command sets in and out, and the datasets between them as a stream.

A command set is a handful of elements in implicit VR little endian (PS3.7 section 6.3.1). A general
dataset class would cost more than the rest of a C-STORE, so it is read and written here directly.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from receiver.protocol.pdu import AbortReason, PdvFragment, ProtocolError
from schema.dicom import DimsePriority, DimseStatus

ELEMENT: Final = struct.Struct("<HHL")  # group, element, length
US: Final = struct.Struct("<H")
UL: Final = struct.Struct("<L")
MAX_COMMAND_BYTES: Final = 64 * 1024
NO_DATASET: Final = 0x0101  # Command Data Set Type (0000,0800)
RESPONSE: Final = 0x8000
MAX_COMMENT_LENGTH: Final = 64  # VR LO


class Tag(IntEnum):
    """Elements of group 0000 (PS3.7 annex E.1)."""

    GROUP_LENGTH = 0x0000
    AFFECTED_SOP_CLASS_UID = 0x0002
    REQUESTED_SOP_CLASS_UID = 0x0003
    COMMAND_FIELD = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
    PRIORITY = 0x0700
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    ERROR_COMMENT = 0x0902
    AFFECTED_SOP_INSTANCE_UID = 0x1000
    REQUESTED_SOP_INSTANCE_UID = 0x1001
    ACTION_TYPE_ID = 0x1008


class CommandField(IntEnum):
    """The requests that we know by name (PS3.7 annex E.1)."""

    C_STORE_RQ = 0x0001
    C_ECHO_RQ = 0x0030
    N_ACTION_RQ = 0x0130
    C_CANCEL_RQ = 0x0FFF


@dataclass(frozen=True)
class Command:
    """A received command set, and the presentation context that carried it."""

    context_id: int
    elements: Mapping[int, bytes]

    def number(self, tag: Tag) -> int:
        """Give an element of VR US.

        Raises
        ------
        ProtocolError
            If it is absent or of another length.
        """
        value = self.elements.get(tag, b"")
        if len(value) != US.size:
            raise ProtocolError(f"command without {tag.name}", AbortReason.NOT_SPECIFIED)
        return int(US.unpack(value)[0])

    def uid(self, tag: Tag) -> str:
        """Give an element of VR UI without its padding; empty if it is absent."""
        return self.elements.get(tag, b"").decode("latin-1").rstrip("\0 ")

    @property
    def priority(self) -> DimsePriority:
        """What the sender says of its urgency; MEDIUM where it says nothing that we know."""
        encoded = self.elements.get(Tag.PRIORITY, b"")
        known = {US.pack(priority): priority for priority in DimsePriority}
        return known.get(encoded, DimsePriority.MEDIUM)

    @property
    def has_dataset(self) -> bool:
        """Whether a dataset follows."""
        return self.number(Tag.DATA_SET_TYPE) != NO_DATASET


def decode_command(context_id: int, encoded: bytes) -> Command:
    """Read a command set.

    Raises
    ------
    ProtocolError
        If it is not a sequence of elements of group 0000.
    """
    elements, offset = {}, 0
    while offset < len(encoded):
        if len(encoded) - offset < ELEMENT.size:
            raise ProtocolError("torn command set", AbortReason.NOT_SPECIFIED)
        group, element, length = ELEMENT.unpack_from(encoded, offset)
        offset += ELEMENT.size
        if group != 0 or length > len(encoded) - offset:
            raise ProtocolError("no command set", AbortReason.NOT_SPECIFIED)
        elements[element] = bytes(encoded[offset : offset + length])
        offset += length
    return Command(context_id, elements)


def encode_response(request: Command, status: int, comment: str = "") -> bytes:
    """Write the response to a request, without a dataset (PS3.7 sections 9.3 and 10.3).

    The SOP class and instance of the request come back as they came, padding included.
    """
    elements = {
        Tag.AFFECTED_SOP_CLASS_UID: _echoed(request, "SOP_CLASS_UID"),
        Tag.COMMAND_FIELD: US.pack(request.number(Tag.COMMAND_FIELD) | RESPONSE),
        Tag.MESSAGE_ID_BEING_RESPONDED_TO: US.pack(request.number(Tag.MESSAGE_ID)),
        Tag.DATA_SET_TYPE: US.pack(NO_DATASET),
        Tag.STATUS: US.pack(status),
        Tag.ERROR_COMMENT: _padded(comment[:MAX_COMMENT_LENGTH]),
        Tag.AFFECTED_SOP_INSTANCE_UID: _echoed(request, "SOP_INSTANCE_UID"),
        Tag.ACTION_TYPE_ID: request.elements.get(Tag.ACTION_TYPE_ID, b""),
    }
    return encode_command({tag: value for tag, value in elements.items() if value})


def encode_command(elements: Mapping[Tag, bytes]) -> bytes:
    """Write a command set with its group length."""
    body = b"".join(
        ELEMENT.pack(0, tag, len(value)) + value for tag, value in sorted(elements.items())
    )
    return ELEMENT.pack(0, Tag.GROUP_LENGTH, UL.size) + UL.pack(len(body)) + body


def _echoed(request: Command, name: str) -> bytes:
    affected = request.elements.get(Tag[f"AFFECTED_{name}"], b"")
    return affected or request.elements.get(Tag[f"REQUESTED_{name}"], b"")


def _padded(text: str) -> bytes:
    encoded = text.encode("ascii", "replace")
    return encoded + b" " * (len(encoded) % 2)


class Operation(Protocol):
    """What a service does with one request: take its dataset, then answer."""

    def write(self, data: memoryview) -> None:
        """Take the next piece of the dataset."""

    def finish(self) -> bytes | None:
        """Give the encoded response command set; None for a request that has no response."""

    def abandon(self) -> None:
        """Forget the request: its end never came."""


Service = Callable[[Command], Operation]


class Answer:
    """An operation whose answer is known at once; a dataset, if any, is passed over."""

    def __init__(self, response: bytes | None) -> None:
        self._response = response

    def write(self, data: memoryview) -> None:
        """Pass over."""

    def finish(self) -> bytes | None:
        """Give the answer."""
        return self._response

    def abandon(self) -> None:
        """Do nothing: nothing was begun."""


def verify(request: Command) -> Operation:
    """Answer a C-ECHO (PS3.7 section 9.1.5)."""
    return Answer(encode_response(request, DimseStatus.SUCCESS))


def decline(request: Command) -> Operation:
    """Answer a request that we have no service for; a C-CANCEL has no response."""
    field = request.number(Tag.COMMAND_FIELD)
    if field == CommandField.C_CANCEL_RQ or field & RESPONSE:
        return Answer(None)
    return Answer(encode_response(request, DimseStatus.UNRECOGNIZED_OPERATION))


class DimseProvider:
    """Puts the pieces of one association's messages together (PS3.7 section 8)."""

    def __init__(
        self,
        services: Mapping[int, Service],
        accepted: frozenset[int],
        respond: Callable[[int, bytes], None],
    ) -> None:
        self._services = services
        self._accepted = accepted
        self._respond = respond
        self._encoded = bytearray()
        self._request: Command | None = None
        self._operation: Operation | None = None

    def take(self, piece: PdvFragment) -> None:
        """Take the next piece; a whole request is done and answered before this returns.

        Raises
        ------
        ProtocolError
            If the piece does not continue what came before it.
        """
        if piece.context_id not in self._accepted:
            raise ProtocolError("no such context", AbortReason.INVALID_PARAMETER_VALUE)
        if piece.is_command:
            self._take_command(piece)
        else:
            self._take_dataset(piece)

    def abandon(self) -> None:
        """Forget a message whose end never came."""
        if self._operation is not None:
            self._operation.abandon()
            self._operation = None

    def _take_command(self, piece: PdvFragment) -> None:
        if self._operation is not None or len(self._encoded) > MAX_COMMAND_BYTES:
            raise ProtocolError("command where none belongs", AbortReason.UNEXPECTED_PARAMETER)
        self._encoded += piece.data
        if piece.is_last:
            self._request = decode_command(piece.context_id, bytes(self._encoded))
            self._encoded.clear()
            service = self._services.get(self._request.number(Tag.COMMAND_FIELD), decline)
            self._operation = service(self._request)
            if not self._request.has_dataset:
                self._finish(self._request, self._operation)

    def _take_dataset(self, piece: PdvFragment) -> None:
        request, operation = self._request, self._operation
        if request is None or operation is None or piece.context_id != request.context_id:
            raise ProtocolError("dataset where none belongs", AbortReason.UNEXPECTED_PARAMETER)
        operation.write(piece.data)
        if piece.is_last:
            self._finish(request, operation)

    def _finish(self, request: Command, operation: Operation) -> None:
        self._operation = None
        response = operation.finish()
        if response is not None:
            self._respond(request.context_id, response)
