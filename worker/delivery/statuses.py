"""What a destination's answer means: accepted, not now, or never."""

from enum import IntEnum
from typing import Final

from schema.errors import PermanentError, TransientError


class DestinationDownError(TransientError):
    """The destination as a whole does not answer; nothing of what waits for it is at fault."""


class ConnectionLostError(DestinationDownError):
    """It answered, then hung up or fell silent over this one: either may be at fault."""


class NotNowError(TransientError):
    """The destination refused this one for now; it is sent again later."""


class RefusedError(PermanentError):
    """The destination will never take this one as it is; see the reason, then replay it."""


class DamagedObjectError(PermanentError):
    """The file of an object is not what was written; nobody is sent half of it."""


class Status(IntEnum):
    """Status of a C-STORE response (PS3.4 table B.2-1, PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    DUPLICATE_INSTANCE = 0x0111
    COERCED = 0xB000
    ELEMENTS_DISCARDED = 0xB006
    MISMATCH_WARNING = 0xB007


ACCEPTED: Final = frozenset(
    {
        Status.SUCCESS,
        Status.COERCED,
        Status.MISMATCH_WARNING,
        Status.ELEMENTS_DISCARDED,
        Status.DUPLICATE_INSTANCE,  # it has it already: our answer was lost
    }
)
OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
# RFC 9110 section 15, RFC 8470, RFC 6585. What answers with these would do so to any message: its
# secret has expired, a login stands before it, or the address is not that of such a server.
AMISS: Final = frozenset({*range(300, 400), 401, 403, 404, 405, 407})
LATER: Final = frozenset({408, 409, 425, 429})  # and 5xx


def check_store(status: int | None) -> None:
    """Raise what the status of a C-STORE means, unless the object was accepted.

    Raises
    ------
    ConnectionLostError
        There was no answer.
    NotNowError, RefusedError
        This object was not accepted, for now or for good.
    """
    if status is None:
        raise ConnectionLostError("no answer to C-STORE; the association was lost or timed out")
    if status in ACCEPTED:
        return
    said = f"C-STORE was answered with 0x{status:04X}"
    if status in OUT_OF_RESOURCES or status == Status.PROCESSING_FAILURE:
        raise NotNowError(f"{said}: out of resources or failing; it is sent again")
    raise RefusedError(f"{said}; ask the archive's administrator, then replay")


def check_http(status: int, what: str) -> None:
    """Raise what an HTTP status means, unless the message was accepted.

    Raises
    ------
    DestinationDownError
        The destination takes no message at all.
    NotNowError, RefusedError
        It was not, for now or for good.
    """
    if 200 <= status < 300:
        return
    if status in AMISS:
        raise DestinationDownError(
            f"{what} answered {status}; check its url and its secret or token"
        )
    if status in LATER or status >= 500:
        raise NotNowError(f"{what} answered {status}; it is sent again")
    raise RefusedError(f"{what} answered {status}; correct the destination, then replay")


def check_ack(code: str, text: str) -> None:
    """Raise what an acknowledgement code means (HL7 table 0008), unless it is AA or CA.

    Raises
    ------
    NotNowError
        AE or CE: the application could not; the same message goes again.
    RefusedError
        AR or CR: rejected, or no code at all.
    """
    if code in ("AA", "CA"):
        return
    said = f"acknowledged with {code or 'nothing'}{f': {text}' if text else ''}"
    if code in ("AE", "CE"):
        raise NotNowError(f"{said}; it is sent again")
    raise RefusedError(f"{said}; correct the template or the interface, then replay")
