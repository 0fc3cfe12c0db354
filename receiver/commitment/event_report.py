"""N-EVENT-REPORT of storage commitment, sent on an association that we open (PS3.4 J.3.3)."""

import ssl
from typing import Final

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role
from pynetdicom.association import Association

from receiver.commitment.result import CommitmentReport, event_information
from schema.dicom import PUSH_MODEL, PUSH_MODEL_INSTANCE, DimseStatus
from schema.errors import TransientError
from schema.peers import PeerAddress
from schema.requestor import spare_responses

TIMEOUT_S: Final = 20.0


class ReportUndeliveredError(TransientError):
    """A commitment report did not reach its requestor; it is sent again."""


def notify(
    report: CommitmentReport, peer: PeerAddress, ae_title: str, tls: ssl.SSLContext | None
) -> None:
    """Tell a requestor what became of its request.

    Raises
    ------
    ReportUndeliveredError
        If it cannot be reached or does not confirm.
    """
    ae = AE(ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = TIMEOUT_S
    ae.add_requested_context(PUSH_MODEL, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    # We are the SCP and open the association, so the roles have to be said (PS3.4 J.3.3.1.1).
    role = build_role(PUSH_MODEL, scp_role=True)
    tls_args = (tls, peer.host) if peer.tls and tls is not None else None
    assoc = ae.associate(
        peer.host, peer.port, ae_title=peer.ae_title, ext_neg=[role], tls_args=tls_args
    )
    if not assoc.is_established:
        raise ReportUndeliveredError(f"{peer.ae_title} does not accept an association")
    spare_responses(assoc)
    try:
        _send(assoc, report, peer)
    finally:
        assoc.release()


def _send(assoc: Association, report: CommitmentReport, peer: PeerAddress) -> None:
    try:
        answer, _ = assoc.send_n_event_report(
            event_information(report), report.event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
    except (ValueError, RuntimeError) as error:
        raise ReportUndeliveredError(f"{peer.ae_title}: {error}") from error
    status = answer.get("Status")
    if status != DimseStatus.SUCCESS:
        said = "nothing" if status is None else f"0x{status:04X}"
        raise ReportUndeliveredError(f"{peer.ae_title} answered {said} to the report")
