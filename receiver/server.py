"""The storage SCP: thin handlers that parse, keep the object and answer with a status.

C-ECHO (PS3.4 annex A) and C-STORE (PS3.4 annex B) over associations that only known callers open.
"""

import threading
from typing import Final, cast

import structlog
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import ThreadedAssociationServer

from receiver.contexts import supported_contexts
from receiver.identity import read_identity, require_match
from receiver.inbox import AssociationFolder, Inbox
from receiver.statuses import Status, status_of
from schema.callers import is_allowed
from schema.errors import TriageError
from schema.settings import Settings

log = structlog.get_logger()

ACSE_TIMEOUT_S: Final = 5  # an idle socket must not keep a place for long
REJECTED_PERMANENT: Final = 0x01  # PS3.8 table 9-21
SOURCE_SERVICE_USER: Final = 0x01
CALLING_AE_NOT_RECOGNIZED: Final = 0x03


class StorageScp:
    """Keeps every object of every association in the inbox before it answers."""

    def __init__(self, settings: Settings, inbox: Inbox) -> None:
        self._settings = settings
        self._inbox = inbox
        self._folders: dict[Association, AssociationFolder] = {}
        self._lock = threading.Lock()

    def start(self) -> ThreadedAssociationServer:
        """Listen; associations are served by threads of their own."""
        _config.LOG_HANDLER_LEVEL = "none"  # it would log datasets
        ae = AE(self._settings.ae_title)
        ae.supported_contexts = supported_contexts()
        ae.require_called_aet = True
        ae.maximum_associations = self._settings.max_associations
        ae.maximum_pdu_size = 0  # unlimited: fewer, larger reads
        ae.acse_timeout = ACSE_TIMEOUT_S
        address = (self._settings.dicom_host, self._settings.dicom_port)
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_C_ECHO, lambda _event: Status.SUCCESS),
            (evt.EVT_C_STORE, self.on_store),
            (evt.EVT_RELEASED, self.on_closed),
            (evt.EVT_ABORTED, self.on_closed),
            (evt.EVT_CONN_CLOSE, self.on_closed),
        ]
        server = ae.start_server(address, block=False, evt_handlers=handlers)
        return cast(ThreadedAssociationServer, server)  # None only if it blocks

    def on_requested(self, event: evt.Event) -> None:
        """Reject a caller that is not on the list (PS3.8 section 9.3.4)."""
        assoc = event.assoc
        ae_title = cast(A_ASSOCIATE, assoc.requestor.primitive).calling_ae_title.strip()
        address = assoc.requestor.address
        if not is_allowed(self._settings.allowed_callers, ae_title, address):
            log.warning("association rejected", calling_ae=ae_title, peer=address)
            assoc.acse.send_reject(
                REJECTED_PERMANENT, SOURCE_SERVICE_USER, CALLING_AE_NOT_RECOGNIZED
            )

    def on_store(self, event: evt.Event) -> int:
        """Answer a C-STORE request; success means that the object is on disk."""
        try:
            self._keep(event)
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
            status = status_of(error)
            reason = str(error) if isinstance(error, TriageError) else repr(error)
            log.error("object refused", status=f"0x{status:04X}", reason=reason)
            return status
        return Status.SUCCESS

    def on_closed(self, event: evt.Event) -> None:
        """Note that an association is over, in whatever way."""
        with self._lock:
            folder = self._folders.pop(event.assoc, None)
        if folder is not None:
            folder.close()

    def _keep(self, event: evt.Event) -> None:
        self._inbox.require_space()
        dataset = event.encoded_dataset(include_meta=False)
        identity = read_identity(dataset, event.context.transfer_syntax)
        request = cast(C_STORE, event.request)
        require_match(
            identity, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        )
        self._folder(event.assoc).keep(event.encoded_dataset())

    def _folder(self, assoc: Association) -> AssociationFolder:
        with self._lock:
            if assoc not in self._folders:
                requestor = assoc.requestor
                self._folders[assoc] = self._inbox.open_association(
                    requestor.ae_title.strip(), str(requestor.address)
                )
            return self._folders[assoc]
