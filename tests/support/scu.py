"""A storage SCU on a bare socket: it sends bytes as they are, and stops wherever a test wants."""

import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Self

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import build_context

from tests.support.deadline import DEADLINE_S

Address = tuple[str, int]
Syntaxes = Sequence[tuple[str, str]]
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"
VERIFIED = ((VERIFICATION, EXPLICIT),)
RELEASE_RQ = b"\x05\0\0\0\0\x04\0\0\0\0"
ABORT = b"\x07\0\0\0\0\x04\0\0\0\0"
DATA, LAST = 0, 2  # message control header, PS3.8 annex E.2


class Scu:
    """One association; contexts have the identifiers 1, 3, 5 and so on."""

    def __init__(
        self,
        address: Address,
        contexts: Syntaxes = ((CT, EXPLICIT),),
        called: str = "IHSNET",
    ) -> None:
        self.socket = socket.create_connection(address, DEADLINE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.accepted = self._associate(contexts, called)
        except BaseException:
            self.socket.close()
            raise

    def _associate(self, contexts: Syntaxes, called: str) -> list[int]:
        self.socket.sendall(request(contexts, called=called))
        answer = self.receive()
        if answer[:1] != b"\x02":
            raise ConnectionRefusedError("the association was not accepted")
        accept = A_ASSOCIATE_AC()
        accept.decode(answer)
        contexts = accept.presentation_context
        return [int(context.context_id or 0) for context in contexts if context.result == 0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def store(
        self, sop_class_uid: str, sop_instance_uid: str, encoded: bytes, context_id: int = 1
    ) -> int:
        """Send one C-STORE request with these very bytes; give the status of the response."""
        self.begin_store(sop_class_uid, sop_instance_uid, context_id)
        self.send_data(encoded, context_id, is_last=True)
        return self.status()

    def begin_store(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        context_id: int = 1,
        priority: bytes = b"\0\0",
    ) -> None:
        """Announce an object and send nothing of it."""
        self.command(
            context_id,
            (0x0002, _uid(sop_class_uid)), (0x0100, b"\x01\0"), (0x0110, b"\x07\0"),
            (0x0700, priority), (0x0800, b"\x01\0"), (0x1000, _uid(sop_instance_uid)),
        )  # fmt: skip

    def echo(self, context_id: int = 1) -> int:
        """Send a C-ECHO request; give the status of the response."""
        elements = ((0x0002, _uid(VERIFICATION)), (0x0100, b"\x30\0"), (0x0110, b"\x09\0"))
        self.command(context_id, *elements, (0x0800, b"\x01\x01"))
        return self.status()

    def command(self, context_id: int, *elements: tuple[int, bytes]) -> None:
        """Send a command set."""
        body = b"".join(struct.pack("<HHL", 0, tag, len(value)) + value for tag, value in elements)
        group_length = struct.pack("<HHLL", 0, 0, 4, len(body))
        self.socket.sendall(pdata(context_id, 3, group_length + body))

    def send_data(
        self, encoded: bytes, context_id: int = 1, *, is_last: bool, size: int = 16_000
    ) -> None:
        """Send (a part of) a dataset in PDUs of a usual size."""
        for start in range(0, len(encoded), size):
            ends = is_last and start + size >= len(encoded)
            part = encoded[start : start + size]
            self.socket.sendall(pdata(context_id, LAST if ends else DATA, part))

    def status(self) -> int:
        """Read a response; give its Status (0000,0900)."""
        pdu = self.receive()
        if pdu[:1] != b"\x04":
            raise ConnectionResetError("no response")
        elements = dict(_elements(pdu[12:]))
        return int.from_bytes(elements[0x0900], "little")

    def receive(self) -> bytes:
        """Read one PDU; empty when the other side has hung up."""
        header = self._exactly(6)
        return header and header + self._exactly(int.from_bytes(header[2:], "big"))

    def release(self) -> bytes:
        """Release the association; give the answer."""
        self.socket.sendall(RELEASE_RQ)
        return self.receive()

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            piece = self.socket.recv(length - len(data))
            if not piece:
                return b""
            data += piece
        return data


def pdata(context_id: int, control: int, data: bytes) -> bytes:
    """Make a P-DATA-TF PDU with one presentation data value (PS3.8 section 9.3.5)."""
    item = struct.pack(">LBB", len(data) + 2, context_id, control) + data
    return struct.pack(">BxL", 0x04, len(item)) + item


def request(contexts: Syntaxes, calling: str = "CT1", called: str = "IHSNET") -> bytes:
    """Make an A-ASSOCIATE-RQ."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    wanted = [build_context(sop_class, syntax) for sop_class, syntax in contexts]
    for number, context in enumerate(wanted):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = wanted
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16_384
    implementation.implementation_class_uid = UID("1.2.3.4")
    primitive.user_information = [length, implementation]
    return A_ASSOCIATE_RQ(primitive).encode()


def image(sop_instance_uid: str, sop_class_uid: str = CT, **given: object) -> Dataset:
    """Make a dataset with the elements that place it, and no more."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, sop_instance_uid
    ds.PatientName, ds.PatientID, ds.Modality = "Nobody", "P1", "CT"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", "1.2.3.4"
    for keyword, value in given.items():
        setattr(ds, keyword, value)
    return ds


def encode(ds: Dataset, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """Encode a dataset; of a compressed syntax, with a pixel fragment that nobody decodes."""
    syntax = UID(transfer_syntax_uid)
    if syntax.is_compressed:
        ds.PixelData = encapsulate([b"\xff\xd8" + bytes(62)])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    write_dataset(stream, ds)
    return bytes(stream.getvalue())


def new_uid() -> str:
    """Give a UID that nobody has used."""
    return str(generate_uid())


def _uid(value: str) -> bytes:
    encoded = value.encode()
    return encoded + b"\0" * (len(encoded) % 2)


def _elements(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    while encoded:
        _, tag, length = struct.unpack_from("<HHL", encoded)
        yield tag, encoded[8 : 8 + length]
        encoded = encoded[8 + length :]
