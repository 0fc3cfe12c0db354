"""What an association agrees on (PS3.7 annex D.3): contexts, PDU length, and how a no is said."""

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import cast

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor

from receiver.protocol.file_meta import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from receiver.protocol.pdu import PDU_HEADER, AbortReason, PduType, ProtocolError
from receiver.protocol.presentation_contexts import supported_contexts
from receiver.protocol.rejection import Rejection

SHORTEST_PDU = 8  # a PDV's header and two bytes of a command set, which is of even length
UNLIMITED = 0  # PS3.8 annex D.1: fewer, larger PDUs; they are read in pieces anyway
ACCEPTANCE = 0


@dataclass(frozen=True)
class AcceptedContext:
    """An accepted presentation context (PS3.8 section 7.1.1.14)."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True)
class Agreement:
    """What was negotiated, and the A-ASSOCIATE-AC that says so."""

    contexts: dict[int, AcceptedContext]
    accept: bytes


# A scanner asks for the same each time, some of them for every object that they send.
@lru_cache(maxsize=16)
def decode_request(body: bytes) -> A_ASSOCIATE:
    """Read an A-ASSOCIATE-RQ (PS3.8 section 9.3.2); the primitive is shared and not to be changed.

    Raises
    ------
    ProtocolError
        If it is malformed.
    """
    pdu = A_ASSOCIATE_RQ()
    try:
        pdu.decode(PDU_HEADER.pack(PduType.A_ASSOCIATE_RQ, len(body)) + body)
        return pdu.to_primitive()
    except Exception as error:  # it raises whatever the bytes lead it to
        raise ProtocolError(
            f"malformed A-ASSOCIATE-RQ ({type(error).__name__})",
            AbortReason.INVALID_PARAMETER_VALUE,
        ) from error


@lru_cache(maxsize=16)
def agree(request: A_ASSOCIATE) -> Agreement:
    """Accept every context that we support, in the first syntax of ours that the caller offers."""
    results, _roles = negotiate_as_acceptor(
        request.presentation_context_definition_list, _contexts()
    )
    contexts = {
        cast(int, context.context_id): AcceptedContext(
            str(context.abstract_syntax), str(context.transfer_syntax[0])
        )
        for context in results
        if context.result == ACCEPTANCE
    }
    return Agreement(contexts, _encode_accept(request, results))


def peer_max_length(request: A_ASSOCIATE) -> int:
    """Give the longest P-DATA-TF PDU that the caller takes; 0 for no limit."""
    return request.maximum_length_received or UNLIMITED


def takes_no_response(request: A_ASSOCIATE) -> bool:
    """Say whether no response fits into the PDUs that the caller takes (PS3.8 annex D.1)."""
    return 0 < peer_max_length(request) < SHORTEST_PDU


def encode_reject(rejection: Rejection) -> bytes:
    """Write an A-ASSOCIATE-RJ (PS3.8 section 9.3.4)."""
    primitive = A_ASSOCIATE()
    primitive.result = rejection.result
    primitive.result_source = rejection.source
    primitive.diagnostic = rejection.diagnostic
    return A_ASSOCIATE_RJ(primitive).encode()


@cache
def _contexts() -> list[PresentationContext]:
    return supported_contexts()


def _encode_accept(request: A_ASSOCIATE, results: list[PresentationContext]) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")  # PS3.7 annex A.2.1
    primitive.calling_ae_title = request.calling_ae_title
    primitive.called_ae_title = request.called_ae_title
    primitive.result = ACCEPTANCE
    primitive.result_source = 0x01
    primitive.presentation_context_definition_results_list = results
    length = MaximumLengthNotification()
    length.maximum_length_received = UNLIMITED
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, version]
    return A_ASSOCIATE_AC(primitive).encode()
