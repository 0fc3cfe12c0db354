"""The SCP of announcements, on a port of its own: MPPS and Instance Availability Notification.

Thin handlers: parse, call one function in one transaction, answer with a status.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import structlog
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import N_CREATE, N_SET
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer
from sqlalchemy.orm import Session

from receiver.access.callers import AccessRules, AssociationRequest, plain_address, refuse
from receiver.access.tls import TlsFiles, late_acceptor_context, peer_names
from receiver.completeness.announcements import (
    CountSource,
    note_contents,
    read_available,
    read_study,
)
from receiver.completeness.mpps import (
    DuplicateStepError,
    FinalStepError,
    StepStateError,
    UnknownStepError,
    begin_step,
    update_step,
)
from schema.database import Database, read_clock
from schema.dicom import DimseStatus
from schema.errors import TriageError, UnreadableObjectError
from schema.ports import naming_the_setting
from schema.settings import Settings

log = structlog.get_logger()

ACSE_TIMEOUT_S: Final = 5  # an idle socket must not keep a place for long
MOST_ASSOCIATIONS: Final = 16
Answer = tuple[int, Dataset | None]


def status_of(error: Exception) -> DimseStatus:
    """Give the status that tells a peer what became of its announcement."""
    match error:
        case DuplicateStepError():
            return DimseStatus.DUPLICATE_SOP_INSTANCE
        case UnknownStepError():
            return DimseStatus.NO_SUCH_SOP_INSTANCE
        case StepStateError() | UnreadableObjectError():
            return DimseStatus.INVALID_ATTRIBUTE_VALUE
        case FinalStepError() | _:
            return DimseStatus.PROCESSING_FAILURE


class AnnouncementScp:
    """Takes announcements from the callers that may send."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._rules = AccessRules.of(settings)

    def start(self) -> ThreadedAssociationServer:
        """Listen; with TLS where the settings refuse plain DICOM.

        Raises
        ------
        SettingsError
            If somebody else has the port.
        """
        _config.LOG_HANDLER_LEVEL = "none"  # it would log datasets
        ae = AE(self._settings.ae_title)
        for sop_class in (
            Verification,
            ModalityPerformedProcedureStep,
            InstanceAvailabilityNotification,
        ):
            ae.add_supported_context(sop_class)
        ae.maximum_associations = MOST_ASSOCIATIONS
        ae.acse_timeout = ACSE_TIMEOUT_S
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_REQUESTED, self.on_requested),
            (evt.EVT_C_ECHO, lambda _event: DimseStatus.SUCCESS),
            (evt.EVT_N_CREATE, self.on_create),
            (evt.EVT_N_SET, self.on_set),
        ]
        address = (self._settings.dicom_host, self._settings.announcement_port or 0)
        tls = self._tls()
        with naming_the_setting("TRIAGE_DICOM_HOST, TRIAGE_ANNOUNCEMENT_PORT", *address):
            server = ae.start_server(address, block=False, evt_handlers=handlers, ssl_context=tls)
        return cast(ThreadedAssociationServer, server)  # None only if it blocks

    def on_requested(self, event: evt.Event) -> None:
        """Reject a caller that is not on the list (PS3.8 section 9.3.4)."""
        assoc = event.assoc
        primitive = cast(A_ASSOCIATE, assoc.requestor.primitive)
        request = AssociationRequest.of(
            primitive,
            plain_address(str(assoc.requestor.address)),
            peer_names(getattr(assoc.dul.socket, "socket", None)),
        )
        rejection = refuse(request, self._rules)
        if rejection is not None:
            log.warning(
                "association rejected",
                peer=request.address,
                calling_ae=request.calling_ae,
                called_ae=request.called_ae,
                reason=rejection.reason,
                put_right=rejection.put_right,
            )
            assoc.acse.send_reject(rejection.result, rejection.source, rejection.diagnostic)
            assoc.kill()  # waits until the A-ASSOCIATE-RJ is out; else the peer sees an abort

    def on_create(self, event: evt.Event) -> Answer:
        """Answer an N-CREATE request: a procedure step begins, or instances are available."""
        request = cast(N_CREATE, event.request)
        ae_title = event.assoc.requestor.ae_title.strip()

        def create(session: Session, ds: Dataset) -> None:
            now = read_clock(session)
            if request.AffectedSOPClassUID == ModalityPerformedProcedureStep:
                uid = str(request.AffectedSOPInstanceUID or "")
                begin_step(session, uid, ae_title, ds, now)
            else:
                contents = read_available(ds)
                note_contents(session, CountSource.IAN, ae_title, read_study(ds), contents, now)

        return self._answer(lambda: event.attribute_list, create)

    def on_set(self, event: evt.Event) -> Answer:
        """Answer an N-SET request: a procedure step goes on or ends."""
        uid = str(cast(N_SET, event.request).RequestedSOPInstanceUID)

        def change(session: Session, ds: Dataset) -> None:
            update_step(session, uid, ds, read_clock(session))

        return self._answer(lambda: event.modification_list, change)

    def _answer(
        self, decode: Callable[[], Dataset], action: Callable[[Session, Dataset], None]
    ) -> Answer:
        try:
            with disable_value_validation(), self._database.transaction() as session:
                action(session, decode())
        except Exception as error:  # noqa: BLE001 - the edge: every error becomes a status
            reason = str(error) if isinstance(error, TriageError) else type(error).__name__
            log.warning("announcement refused", reason=reason)
            return status_of(error), None
        return DimseStatus.SUCCESS, Dataset()

    def _tls(self) -> ssl.SSLContext | None:
        files = TlsFiles.of(self._settings)
        if files is None or self._settings.dicom_plain:
            return None
        return late_acceptor_context(files)


@contextmanager
def announcements_taken(settings: Settings, database: Database) -> Iterator[None]:
    """Take announcements on the port that the settings name, if they name one."""
    if settings.announcement_port is None:
        yield
        return
    server = AnnouncementScp(settings, database).start()
    host, port = server.server_address[:2]
    log.info("receiver listens", kind="announcements", host=host, port=port)
    try:
        yield
    finally:
        server.shutdown()
