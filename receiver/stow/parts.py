"""The parts of a STOW-RS request go to the inbox as they come; none is ever held whole."""

from dataclasses import dataclass
from io import BytesIO
from typing import Final

import structlog
from pydicom.filereader import read_dataset
from python_multipart.multipart import MultipartParser

from receiver.commitment.request import Reference
from receiver.counts import STORED, STOW, count_object
from receiver.inbox import AssociationFolder, Inbox, IncomingObject
from receiver.protocol.failure_statuses import IdentityMismatchError, SopClassNotSupportedError
from receiver.protocol.file_meta import META_LENGTH_OFFSET, encode_file_meta
from receiver.protocol.identity import read_identity, require_match, require_uid
from receiver.protocol.presentation_contexts import TRANSFER_SYNTAXES
from receiver.stow.answer import StoreResult, TransferSyntaxNotSupportedError, failure_reason
from schema.dicom import ANALYSED_CLASSES, COMPANION_CLASSES
from schema.errors import UnreadableObjectError, describe

log = structlog.get_logger()

PREFIX: Final = slice(128, 132)
FIRST_ELEMENT: Final = b"\x02\x00\x00\x00UL\x04\x00"  # (0002,0000), PS3.10 section 7.1
META_START: Final = 132
META_LENGTH_END: Final = META_LENGTH_OFFSET + 4
MAX_META_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 16  # of one part
MAX_PARTS: Final = 20_000


@dataclass(frozen=True)
class FileMeta:
    """What the File Meta Information of a part says (PS3.10 section 7.1)."""

    reference: Reference
    transfer_syntax_uid: str


def read_file_meta(head: bytes) -> tuple[FileMeta, int] | None:
    """Read the File Meta Information; give it and where the dataset begins.

    Returns
    -------
    tuple of FileMeta and int, or None
        None while the head is too short.

    Raises
    ------
    UnreadableObjectError
        If it is no DICOM file.
    """
    if len(head) < META_LENGTH_END:
        return None
    if head[PREFIX] != b"DICM" or not head[META_START:].startswith(FIRST_ELEMENT):
        raise UnreadableObjectError("a part is no DICOM file")
    end = META_LENGTH_END + int.from_bytes(head[META_LENGTH_OFFSET:META_LENGTH_END], "little")
    if end > MAX_META_BYTES:
        raise UnreadableObjectError("File Meta Information is too long")
    return (_file_meta(head[META_START:end]), end) if len(head) >= end else None


def _file_meta(encoded: bytes) -> FileMeta:
    try:
        ds = read_dataset(BytesIO(encoded), is_implicit_VR=False, is_little_endian=True)
        sop_class_uid = str(ds.MediaStorageSOPClassUID)
        sop_instance_uid = str(ds.MediaStorageSOPInstanceUID)
        transfer_syntax_uid = str(ds.TransferSyntaxUID)
    except Exception as error:  # pydicom raises whatever the bytes lead it to
        raise UnreadableObjectError("File Meta Information cannot be read") from error
    require_uid("Media Storage SOP Class UID", sop_class_uid)
    require_uid("Media Storage SOP Instance UID", sop_instance_uid)
    return FileMeta(Reference(sop_class_uid, sop_instance_uid), transfer_syntax_uid)


class Part:
    """One part: the first error decides, and nothing of the object stays."""

    def __init__(self, request: "StoreRequest") -> None:
        self._request = request
        self._head = bytearray()
        self._meta: FileMeta | None = None
        self._incoming: IncomingObject | None = None
        self._failure: int | None = None
        self._size_bytes = 0

    def write(self, data: memoryview) -> None:
        """Take the next piece; what was refused is passed over."""
        if self._failure is not None:
            return
        try:
            if self._incoming is None:
                self._begin(data)
            else:
                self._incoming.write(data)
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a reason
            self._refuse(error)

    def finish(self) -> StoreResult:
        """Put the object on disk for good; say what became of it."""
        if self._failure is None:
            try:
                self._keep()
            except Exception as error:  # noqa: BLE001 - the edge: every error becomes a reason
                self._refuse(error)
        count_object(STOW, self._failure or STORED, self._size_bytes)
        return StoreResult(None if self._meta is None else self._meta.reference, self._failure)

    def end_without_boundary(self) -> StoreResult:
        """Refuse an object of which nobody can tell whether it is whole."""
        if self._failure is None:
            self._refuse(UnreadableObjectError("the closing boundary of the request is missing"))
        return self.finish()

    def abandon(self) -> None:
        """Leave nothing of a part whose end never came."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    def _begin(self, data: memoryview) -> None:
        self._head += data
        found = read_file_meta(bytes(self._head))
        if found is None:
            return
        self._meta, start = found
        self._incoming = self._request.begin(self._meta)
        self._incoming.write(memoryview(bytes(self._head[start:])))
        self._head.clear()

    def _keep(self) -> None:
        if self._meta is None or self._incoming is None:
            raise UnreadableObjectError("a part ends before its dataset")
        incoming, syntax = self._incoming, self._meta.transfer_syntax_uid
        identity = read_identity(incoming.head, incoming.dataset_bytes, syntax)
        reference = self._meta.reference
        require_match(identity, reference.sop_class_uid, reference.sop_instance_uid)
        if self._request.study not in (None, identity.study_instance_uid):
            raise IdentityMismatchError("an object is of another study than the request")
        incoming.keep()
        self._size_bytes = incoming.dataset_bytes
        self._incoming = None

    def _refuse(self, error: Exception) -> None:
        self.abandon()
        self._failure = failure_reason(error)
        log.error("object refused", failure=f"0x{self._failure:04X}", reason=describe(error))


class StoreRequest:
    """One request: feeds the multipart parser and collects what became of each part.

    Parameters
    ----------
    study
        The Study Instance UID of the request's path, if it has one.
    """

    def __init__(
        self, inbox: Inbox, peer: str, boundary: bytes, study: str | None, max_object_bytes: int
    ) -> None:
        self.study = study
        self.results: list[StoreResult] = []
        self._inbox = inbox
        self._peer = peer
        self._max_object_bytes = max_object_bytes
        self._folder: AssociationFolder | None = None
        self._part: Part | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_part_data": self._write_part,
                "on_part_end": self._end_part,
            },
            max_header_count=MAX_HEADERS,
        )

    def write(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises
        ------
        python_multipart.exceptions.FormParserError
            If they are no multipart message.
        """
        self._parser.write(data)

    def close(self, *, aborted: bool) -> None:
        """End the request, complete or not; what is kept is kept.

        A body that ends within an object is answered for it, and counts as aborted.
        """
        if self._part is not None and aborted:
            self._part.abandon()
        elif self._part is not None:
            self.results.append(self._part.end_without_boundary())
            aborted = True
        if self._folder is not None:
            self._folder.close(aborted=aborted)

    def begin(self, meta: FileMeta) -> IncomingObject:
        """Open a file for an object, or refuse it before anything is written.

        Raises
        ------
        SopClassNotSupportedError, TransferSyntaxNotSupportedError
            If it is not of a kind that C-STORE would take.
        StorageFullError
            If the disk is (nearly) full.
        """
        reference, syntax = meta.reference, meta.transfer_syntax_uid
        if reference.sop_class_uid not in (*ANALYSED_CLASSES, *COMPANION_CLASSES):
            raise SopClassNotSupportedError(f"SOP class {reference.sop_class_uid} is not taken")
        if syntax not in TRANSFER_SYNTAXES:
            raise TransferSyntaxNotSupportedError("transfer syntax is not taken")
        self._inbox.require_space()
        if self._folder is None:
            self._folder = self._inbox.open_association("STOW-RS", self._peer)
        encoded = encode_file_meta(reference.sop_class_uid, reference.sop_instance_uid, syntax)
        return self._folder.begin(encoded, self._max_object_bytes)

    def _begin_part(self) -> None:
        if len(self.results) >= MAX_PARTS:
            raise UnreadableObjectError(f"more than {MAX_PARTS} parts")
        self._part = Part(self)

    def _write_part(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        if self._part is not None:
            self.results.append(self._part.finish())
            self._part = None
