"""The storage SCP of one acceptor process: a thread for each connection, and who is let in."""

import errno
import socket
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import Final

import structlog
from pynetdicom.pdu_primitives import A_ASSOCIATE

from receiver.access.callers import AccessRules, AssociationRequest, plain_address, refuse
from receiver.access.peer_limits import PeerConnection, PeerLimiter, PeerLimits
from receiver.access.shared_places import SharedPlaces
from receiver.association.loop import Association, Secure
from receiver.association.timeouts import DRAIN_S, STOP_DEADLINE_S
from receiver.commitment.scp import CommitmentScp
from receiver.counts import (
    ACCEPTED,
    ASSOCIATIONS,
    CONNECTIONS_REFUSED,
    OPEN_ASSOCIATIONS,
    count_rejection,
)
from receiver.inbox import Inbox
from receiver.protocol.negotiation import takes_no_response
from receiver.protocol.rejection import SHORT_PDU, Rejection
from schema.errors import describe
from schema.files import MEGABYTE
from schema.settings import Settings

log = structlog.get_logger()

NO_LISTENER: Final = (errno.EBADF, errno.EINVAL, errno.ENOTSOCK)  # it will never give a connection
LOOK_UP_S: Final = 0.2  # how long it waits for a connection before it looks whether to end
EXHAUSTED_PAUSE_S: Final = 0.1  # for associations to end; the next connection waits in the backlog


class StorageScp:
    """Serves the connections that one process takes from the shared port."""

    def __init__(self, settings: Settings, inbox: Inbox, places: SharedPlaces) -> None:
        self._rules = AccessRules.of(settings)
        self._limiter = PeerLimiter(PeerLimits.of(settings), places)
        self._max_object_bytes = settings.max_object_mb * MEGABYTE
        self._most_silent = settings.max_associations
        self._inbox = inbox
        peers = settings.commitment_peers or ()
        self._commitment = CommitmentScp(settings.storage, {peer.ae_title for peer in peers})
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[Association, threading.Thread] = {}  # no request yet, oldest first
        self._established: dict[Association, threading.Thread] = {}

    def listen(self, listener: socket.socket, secure: Secure | None = None) -> None:
        """Take connections until it is stopped; each is served by a thread of its own.

        Parameters
        ----------
        secure
            Makes a TLS connection of a plain one; None on the port without TLS.

        Raises
        ------
        OSError
            If the listening socket is none; whatever else is short, it goes on after a pause.
        """
        listener.settimeout(LOOK_UP_S)
        while not self._stopping.is_set():
            try:
                self._take(listener, secure)
            except TimeoutError:
                continue
            except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
                if isinstance(error, OSError) and error.errno in NO_LISTENER:
                    raise
                log.warning("a connection cannot be taken, goes on", reason=describe(error))
                time.sleep(EXHAUSTED_PAUSE_S)

    def _take(self, listener: socket.socket, secure: Secure | None) -> None:
        connection, address = listener.accept()
        with ExitStack() as undo:
            undo.callback(connection.close)
            peer = plain_address(str(address[0]))
            counted = self._limiter.connect(peer)
            if counted is None:
                CONNECTIONS_REFUSED.inc()
                return
            undo.callback(counted.close)
            self._open(connection, peer, counted, secure)
            undo.pop_all()  # its thread ends them
        self._make_room()

    def take_no_more(self) -> None:
        """Leave new connections to others; `listen` returns soon."""
        self._stopping.set()

    def stop(self) -> None:
        """Let associations end for a moment, then end them: what was acknowledged is on disk."""
        with self._lock:
            served = self._waiting | self._established
        deadline = time.monotonic() + DRAIN_S
        for thread in served.values():
            thread.join(max(deadline - time.monotonic(), 0))
        for association in served:
            association.stop()
        for thread in served.values():
            thread.join(STOP_DEADLINE_S)

    def _open(
        self,
        connection: socket.socket,
        peer: str,
        counted: PeerConnection,
        secure: Secure | None,
    ) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = Association(
            connection,
            peer,
            self._inbox,
            partial(self._admit, counted),
            self._max_object_bytes,
            self._commitment,
            secure,
        )
        thread = threading.Thread(target=self._serve, args=(association, counted), daemon=True)
        with self._lock:  # it cannot be over before it is known, and none is known that never began
            thread.start()
            self._waiting[association] = thread

    def _serve(self, association: Association, counted: PeerConnection) -> None:
        try:
            association.run()
        except Exception as error:  # noqa: BLE001 - the edge: one association ends no other
            log.error("association failed", peer=association.address, reason=describe(error))
        finally:
            counted.close()
            with self._lock:
                self._waiting.pop(association, None)
                if self._established.pop(association, None) is not None:
                    OPEN_ASSOCIATIONS.dec()

    def _make_room(self) -> None:
        """Hang up on whoever has said nothing for longest, so that idle sockets lock nobody out."""
        with self._lock:
            silent = list(self._waiting)[: -self._most_silent]
        for association in silent:
            association.stop()

    def _admit(
        self, counted: PeerConnection, association: Association, primitive: A_ASSOCIATE
    ) -> Rejection | None:
        request = AssociationRequest.of(
            primitive, association.address, association.certificate_names
        )
        too_short = SHORT_PDU if takes_no_response(primitive) else None
        rejection = refuse(request, self._rules) or too_short or counted.refuse()
        if rejection is None:
            self._establish(association)
        else:
            count_rejection(rejection.reason, request.calling_ae, request.address)
        ASSOCIATIONS.labels(ACCEPTED if rejection is None else rejection.reason).inc()
        return rejection

    def _establish(self, association: Association) -> None:
        with self._lock:
            self._established[association] = self._waiting.pop(association)
            OPEN_ASSOCIATIONS.inc()
