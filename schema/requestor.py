"""Two habits of pynetdicom 3.0 that whoever requests an association on a busy host must know.

It negotiates and receives in other threads than the caller's, and takes for granted that they run
at once. Where they do not, a response is lost and a rejection looks like a dead peer.
"""

from queue import Queue
from typing import Any

REJECTED = (1, 2)  # permanent, transient: result of an A-ASSOCIATE-RJ, PS3.8 table 9-21


def spare_responses(assoc: Any) -> None:
    """Let the association's reactor take requests alone, and leave responses to who waits.

    Before it waits for a response pynetdicom pauses the reactor, but holds a reactor that has just
    been woken for a paused one. That one takes the response and drops it as "unexpected", and the
    caller waits for the DIMSE timeout.
    """
    take, messages = assoc.dimse.get_msg, assoc.dimse.msg_queue

    def get_msg(block: bool = False) -> Any:
        # The reactor never blocks; who waits for a response does.
        return take(block) if block or _request_is_next(messages) else (None, None)

    assoc.dimse.get_msg = get_msg


def _request_is_next(messages: "Queue[Any]") -> bool:
    with messages.mutex:
        return bool(messages.queue) and messages.queue[0][1].is_valid_request


def rejection_of(assoc: Any) -> Any | None:
    """Give the A-ASSOCIATE-RJ by which the peer refused; None if it did not.

    Where the answer is there before pynetdicom has looked whether the connection stands, it finds
    that closed, says "aborted" and leaves the answer unread.
    """
    if assoc.is_rejected:
        return assoc.acceptor.primitive
    unread = None if assoc.is_established else assoc.dul.receive_pdu(wait=False)
    return unread if getattr(unread, "result", None) in REJECTED else None
