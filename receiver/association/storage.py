"""C-STORE as SCP (PS3.4 annex B): the dataset of a request goes to disk, the status says so."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from receiver.counts import DIMSE, count_object
from receiver.inbox import AssociationFolder, Inbox, IncomingObject
from receiver.protocol.dimse import Command, Operation, Tag, encode_response
from receiver.protocol.failure_statuses import SopClassNotSupportedError, status_of
from receiver.protocol.file_meta import encode_file_meta
from receiver.protocol.identity import is_uid, read_identity, require_match, require_uid
from receiver.protocol.negotiation import AcceptedContext
from schema.dicom import DimseStatus
from schema.errors import TriageError, describe

log = structlog.get_logger()


@dataclass(frozen=True)
class Delivery:
    """Who delivers over one association, and what it may send."""

    calling_ae: str
    called_ae: str
    peer: str
    contexts: dict[int, AcceptedContext]
    max_object_bytes: int


class StorageService:
    """Keeps the objects of one association in the inbox."""

    def __init__(self, inbox: Inbox, delivery: Delivery) -> None:
        self._inbox = inbox
        self._delivery = delivery
        self._folder: AssociationFolder | None = None  # made for the first object: an echo has none

    def store(self, request: Command) -> Operation:
        """Begin to keep the object that a C-STORE request announces."""
        return StoreOperation(self, request)

    def begin(self, request: Command) -> IncomingObject:
        """Open a file for an object, or refuse it before anything is written.

        Raises
        ------
        UnreadableObjectError
            If the request names the object by something that is no UID.
        SopClassNotSupportedError
            If the class is not the one that was negotiated.
        StorageFullError
            If the disk is (nearly) full.
        """
        sop_class_uid = request.uid(Tag.AFFECTED_SOP_CLASS_UID)
        sop_instance_uid = request.uid(Tag.AFFECTED_SOP_INSTANCE_UID)
        require_uid("Affected SOP Class UID", sop_class_uid)
        require_uid("Affected SOP Instance UID", sop_instance_uid)
        context = self._delivery.contexts[request.context_id]
        if sop_class_uid != context.abstract_syntax:
            raise SopClassNotSupportedError("SOP class is not that of the presentation context")
        self._inbox.require_space()
        meta = encode_file_meta(
            sop_class_uid, sop_instance_uid, context.transfer_syntax, self._delivery.called_ae
        )
        return self._open_folder().begin(meta, self._delivery.max_object_bytes)

    def write(self, incoming: IncomingObject, data: memoryview) -> None:
        """Write a piece of an object, one association at a time in this process.

        They would take turns anyway, since Python runs one thread at a time; but with sixty of them
        in the queue for Python's own lock, one that has little to do, as a C-ECHO, would wait long.

        Raises
        ------
        StorageFullError
            If the disk is full or the object longer than it may be.
        """
        with self._inbox.turn:
            incoming.write(data)

    def complete(self, request: Command, incoming: IncomingObject) -> None:
        """Put the object on disk for good if it is the one that was announced.

        Raises
        ------
        UnreadableObjectError
            If its UIDs cannot be read, or are others than the request's.
        StorageFullError
            If the disk is full after all.
        """
        transfer_syntax = self._delivery.contexts[request.context_id].transfer_syntax
        identity = read_identity(incoming.head, incoming.dataset_bytes, transfer_syntax)
        require_match(
            identity,
            request.uid(Tag.AFFECTED_SOP_CLASS_UID),
            request.uid(Tag.AFFECTED_SOP_INSTANCE_UID),
        )
        incoming.keep(request.priority)

    def describe(self, request: Command) -> dict[str, str]:
        """Name an object and its sender for the log: UIDs, titles and an address, no patient."""
        uids = {
            "sop_class_uid": request.uid(Tag.AFFECTED_SOP_CLASS_UID),
            "sop_instance_uid": request.uid(Tag.AFFECTED_SOP_INSTANCE_UID),
        }
        return {
            "peer": self._delivery.peer,
            "calling_ae": self._delivery.calling_ae,
            "called_ae": self._delivery.called_ae,
        } | {name: uid if is_uid(uid) else "not a UID" for name, uid in uids.items()}

    def close(self, *, aborted: bool) -> None:
        """Note that the association is over, and whether its sender released it."""
        if self._folder is not None:
            self._folder.close(aborted=aborted)

    def _open_folder(self) -> AssociationFolder:
        if self._folder is None:
            self._folder = self._inbox.open_association(
                self._delivery.calling_ae, self._delivery.peer
            )
        return self._folder


class StoreOperation:
    """One C-STORE: the first error decides the status, and nothing of the object stays."""

    def __init__(self, service: StorageService, request: Command) -> None:
        self._service = service
        self._request = request
        self._incoming: IncomingObject | None = None
        self._status, self._comment = DimseStatus.SUCCESS, ""
        with self._refusing():
            self._incoming = service.begin(request)

    def write(self, data: memoryview) -> None:
        """Write the next piece of the dataset; what was refused is read and passed over."""
        if self._incoming is not None:
            with self._refusing():
                self._service.write(self._incoming, data)

    def finish(self) -> bytes:
        """Answer; success means that the object is on disk."""
        if self._incoming is not None:
            with self._refusing():
                self._service.complete(self._request, self._incoming)
        size_bytes = 0 if self._incoming is None else self._incoming.dataset_bytes
        count_object(DIMSE, self._status, size_bytes)
        return encode_response(self._request, self._status, self._comment)

    def abandon(self) -> None:
        """Leave nothing of an object whose end never came."""
        if self._incoming is not None:
            self._incoming.discard()
            self._incoming = None

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
            self.abandon()
            self._status = status_of(error)
            self._comment = str(error) if isinstance(error, TriageError) else type(error).__name__
            self._log_refusal(describe(error))

    def _log_refusal(self, reason: str) -> None:
        named = self._service.describe(self._request)
        log.error("object refused", status=f"0x{self._status:04X}", reason=reason, **named)
