"""One association as its acceptor: the states Sta2, Sta3, Sta6 and Sta13 of PS3.8 section 9.2.

A blocking loop in a thread of its own. pynetdicom encodes and decodes the PDUs that negotiate; its
reactors, which poll every millisecond and build a dataset for each response, are not used.
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog
from pynetdicom.pdu import A_RELEASE_RP
from pynetdicom.pdu_primitives import A_ASSOCIATE

from receiver.access.tls import peer_names
from receiver.association.storage import Delivery, StorageService
from receiver.association.timeouts import ARTIM_S, IDLE_S
from receiver.commitment.scp import CommitmentScp
from receiver.counts import ASSOCIATIONS, TLS_REFUSED, count_rejection
from receiver.inbox import Inbox
from receiver.protocol.dimse import CommandField, DimseProvider, Service, verify
from receiver.protocol.negotiation import (
    Agreement,
    agree,
    decode_request,
    encode_reject,
    peer_max_length,
)
from receiver.protocol.pdu import (
    AbortReason,
    ConnectionLostError,
    PduReader,
    PduType,
    ProtocolError,
    encode_abort,
    encode_data,
)
from receiver.protocol.rejection import Rejection

log = structlog.get_logger()

Secure = Callable[[socket.socket], socket.socket]


class Association:
    """Serves one connection until the association on it is over.

    Parameters
    ----------
    admit
        Decides on an A-ASSOCIATE-RQ: None, or why it is rejected.
    secure
        Makes a TLS connection of a plain one, or raises OSError.
    """

    def __init__(
        self,
        connection: socket.socket,
        address: str,
        inbox: Inbox,
        admit: Callable[["Association", A_ASSOCIATE], Rejection | None],
        max_object_bytes: int,
        commitment: CommitmentScp,
        secure: Secure | None = None,
    ) -> None:
        self._connection = connection
        self.address = address
        self._inbox = inbox
        self._admit = admit
        self._max_object_bytes = max_object_bytes
        self._commitment = commitment
        self._secure = secure
        self._reader = PduReader(connection)
        self._stopped = False
        self._log = log.bind(peer=address)  # and the titles, as soon as they are known

    def run(self) -> None:
        """Negotiate, serve and end the association; no error of the peer leaves this."""
        try:
            self._shake_hands()
            request = self._await_request()
            if request is not None and self._serve(request):
                self._await_close()
        except ProtocolError as error:
            self._log.warning("association aborted", reason=str(error))
            self._abort(error.reason)
        except ConnectionLostError as error:
            if self._stopped:
                self._abort(AbortReason.NOT_SPECIFIED)
            self._log.debug("connection over", reason=str(error))
        finally:
            self._connection.close()

    def stop(self) -> None:
        """End the association from another thread; an object on its way is answered or dropped."""
        self._stopped = True
        with suppress(OSError):
            # Of the plain connection under TLS: TLS's own would go on without encryption.
            socket.socket.shutdown(self._connection, socket.SHUT_RD)

    @property
    def certificate_names(self) -> frozenset[str]:
        """The names in the peer's certificate; none without TLS."""
        return peer_names(self._connection)

    def _shake_hands(self) -> None:
        if self._secure is None:
            return
        try:
            self._connection = self._secure(self._connection)
        except OSError as error:
            ASSOCIATIONS.labels(TLS_REFUSED).inc()
            count_rejection(TLS_REFUSED, "", self.address)  # nobody said yet who calls
            self._log.warning("TLS refused", reason=str(error))
            raise ConnectionLostError(str(error)) from error
        self._reader = PduReader(self._connection)

    def _await_request(self) -> A_ASSOCIATE | None:
        """Sta2: take an A-ASSOCIATE-RQ; None if the peer aborts or is not let in."""
        self._reader.expect_within(ARTIM_S)
        header = self._reader.header()
        body = self._reader.body(header.length)
        if header.type == PduType.A_ABORT:
            return None
        if header.type != PduType.A_ASSOCIATE_RQ:
            raise ProtocolError(f"{header.type.name} first", AbortReason.UNEXPECTED_PDU)
        request = decode_request(body)
        self._log = self._log.bind(
            calling_ae=request.calling_ae_title.strip(), called_ae=request.called_ae_title.strip()
        )
        rejection = self._admit(self, request)
        if rejection is None:
            return request
        self._log.warning(
            "association rejected", reason=rejection.reason, put_right=rejection.put_right
        )
        self._send(encode_reject(rejection))
        self._await_close()
        return None

    def _serve(self, request: A_ASSOCIATE) -> bool:
        """Sta3 and Sta6: accept, then serve requests; return whether the peer released it."""
        agreement = agree(request)
        calling_ae = request.calling_ae_title.strip()
        storage = self._storage(request, agreement)
        services: dict[int, Service] = {
            CommandField.C_ECHO_RQ: verify,
            CommandField.C_STORE_RQ: storage.store,
            CommandField.N_ACTION_RQ: partial(
                self._commitment.act, calling_ae=calling_ae, contexts=agreement.contexts
            ),
        }
        max_length = peer_max_length(request)
        provider = DimseProvider(
            services,
            frozenset(agreement.contexts),
            lambda context_id, command: self._send(encode_data(context_id, command, max_length)),
        )
        released = False
        try:
            self._send(agreement.accept)
            self._reader.allow_silence(IDLE_S)
            released = self._transfer(provider)
            return released
        finally:
            provider.abandon()
            storage.close(aborted=not released)

    def _storage(self, request: A_ASSOCIATE, agreement: Agreement) -> StorageService:
        delivery = Delivery(
            request.calling_ae_title.strip(),
            request.called_ae_title.strip(),
            self.address,
            agreement.contexts,
            self._max_object_bytes,
        )
        return StorageService(self._inbox, delivery)

    def _transfer(self, provider: DimseProvider) -> bool:
        """Sta6: hand P-DATA on; a release is answered, an abort just ends it."""
        while True:
            header = self._reader.header()
            match header.type:
                case PduType.P_DATA_TF:
                    for piece in self._reader.data_values(header.length):
                        provider.take(piece)
                case PduType.A_RELEASE_RQ:
                    self._reader.body(header.length)
                    self._send(A_RELEASE_RP().encode())
                    return True
                case PduType.A_ABORT:
                    return False
                case _:
                    raise ProtocolError(f"{header.type.name} amid data", AbortReason.UNEXPECTED_PDU)

    def _abort(self, reason: AbortReason) -> None:
        with suppress(ConnectionLostError):
            self._send(encode_abort(reason))
            self._await_close()

    def _await_close(self) -> None:
        """Sta13: the peer closes the connection, or the ARTIM timer ends it."""
        self._reader.expect_within(ARTIM_S)
        with suppress(ConnectionLostError):
            self._reader.discard_until_closed()

    def _send(self, encoded: bytes) -> None:
        try:
            self._connection.sendall(encoded)
        except OSError as error:
            raise ConnectionLostError(str(error)) from error
