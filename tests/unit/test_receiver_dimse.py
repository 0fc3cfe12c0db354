"""Command sets against pydicom's own encoder, and messages that break the order of things."""

from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from receiver.protocol.dimse import (
    Command,
    DimseProvider,
    Tag,
    decode_command,
    encode_response,
    verify,
)
from receiver.protocol.pdu import PdvFragment, ProtocolError
from schema.dicom import DimseStatus

ECHO_RQ, STORE_RQ = 0x0030, 0x0001


def request(field: int = STORE_RQ, **given: object) -> bytes:
    """Encode a request with pydicom."""
    ds = Dataset()
    ds.AffectedSOPClassUID, ds.CommandField, ds.MessageID = "1.2.840.10008.1.1", field, 7
    ds.CommandDataSetType = 0x0001 if field == STORE_RQ else 0x0101
    for keyword, value in given.items():
        setattr(ds, keyword, value)
    encoded = encode(ds, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    return encoded


def piece(
    data: bytes, context_id: int = 1, *, command: bool = True, last: bool = True
) -> PdvFragment:
    return PdvFragment(context_id, command, last, memoryview(data))


def test_a_request_of_pydicom_is_read() -> None:
    command = decode_command(1, request(AffectedSOPInstanceUID="1.2.345"))
    assert command.uid(Tag.AFFECTED_SOP_INSTANCE_UID) == "1.2.345"
    assert (command.number(Tag.MESSAGE_ID), command.has_dataset) == (7, True)


def test_a_response_is_read_by_pydicom() -> None:
    asked = decode_command(1, request(AffectedSOPInstanceUID="1.2.345"))
    encoded = encode_response(asked, DimseStatus.OUT_OF_RESOURCES, "disk full")
    ds = decode(BytesIO(encoded), is_implicit_vr=True, is_little_endian=True)
    assert (ds.CommandField, ds.MessageIDBeingRespondedTo, ds.Status) == (0x8001, 7, 0xA700)
    assert (ds.AffectedSOPInstanceUID, ds.ErrorComment) == ("1.2.345", "disk full")
    assert ds.CommandGroupLength == len(encoded) - 12


def test_a_comment_fits_its_vr() -> None:
    encoded = encode_response(decode_command(1, request()), 0xC000, "ü" + "x" * 100)
    comment = decode_command(1, encoded).elements[Tag.ERROR_COMMENT]
    assert comment == b"?" + b"x" * 63


@pytest.mark.parametrize(
    "encoded",
    [b"\0", b"\x08\0\x16\0\0\0\0\0", b"\0\0\0\0\xff\xff\xff\xff", request()[:-1]],
)
def test_what_is_no_command_set_is_refused(encoded: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_command(1, encoded)


def test_a_number_of_another_length_is_refused() -> None:
    with pytest.raises(ProtocolError):
        Command(1, {Tag.MESSAGE_ID: b"\1"}).number(Tag.MESSAGE_ID)


class Exchange:
    """A provider that knows verification alone, and what it answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, int]] = []
        self.provider = DimseProvider({ECHO_RQ: verify}, frozenset({1, 3}), self._note)

    def _note(self, context_id: int, encoded: bytes) -> None:
        self.answers.append((context_id, decode_command(1, encoded).number(Tag.STATUS)))


def test_an_echo_in_fragments_is_answered_on_its_context() -> None:
    exchange, encoded = Exchange(), request(ECHO_RQ)
    exchange.provider.take(piece(encoded[:20], 3, last=False))
    exchange.provider.take(piece(encoded[20:], 3))
    assert exchange.answers == [(3, DimseStatus.SUCCESS)]


def test_a_request_without_a_service_is_declined_after_its_dataset() -> None:
    exchange = Exchange()
    exchange.provider.take(piece(request()))
    assert exchange.answers == []
    exchange.provider.take(piece(b"dataset", command=False))
    assert exchange.answers == [(1, DimseStatus.UNRECOGNIZED_OPERATION)]


def test_a_cancel_has_no_response() -> None:
    exchange = Exchange()
    exchange.provider.take(piece(request(0x0FFF, MessageIDBeingRespondedTo=7)))
    assert exchange.answers == []


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(b"dataset", command=False)],
        [piece(request(), 5)],
        [piece(request()), piece(request())],
        [piece(request()), piece(b"dataset", 3, command=False)],
        [piece(bytes(70_000), last=False), piece(bytes(70_000), last=False)],
    ],
    ids=["dataset first", "unknown context", "command amid dataset", "other context", "endless"],
)
def test_a_message_out_of_order_is_refused(pieces: list[PdvFragment]) -> None:
    *before, last = pieces
    exchange = Exchange()
    for fragment in before:
        exchange.provider.take(fragment)
    with pytest.raises(ProtocolError):
        exchange.provider.take(last)
