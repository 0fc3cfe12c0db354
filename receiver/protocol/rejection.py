"""How an association is refused: the results, sources and reasons of PS3.8 table 9-21."""

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final


class Result(IntEnum):
    """Result of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class Source(IntEnum):
    """Who rejects (PS3.8 table 9-21)."""

    SERVICE_USER = 1
    SERVICE_PROVIDER_ACSE = 2
    SERVICE_PROVIDER_PRESENTATION = 3


@dataclass(frozen=True)
class Rejection:
    """An A-ASSOCIATE-RJ; `diagnostic` is the Reason/Diag. of PS3.8 table 9-21.

    Attributes
    ----------
    reason
        What the log and the metrics call it.
    put_right
        What an operator does about it, for the log; the caller learns nothing of it.
    """

    result: Result
    source: Source
    diagnostic: int
    reason: str
    put_right: str = field(compare=False)


CALLED_AE: Final = Rejection(
    Result.REJECTED_PERMANENT,
    Source.SERVICE_USER,
    7,
    "called AE title not recognised",
    "have it call TRIAGE_AE_TITLE, or add called_ae to TRIAGE_MORE_AE_TITLES",
)
CALLING_AE: Final = Rejection(
    Result.REJECTED_PERMANENT,
    Source.SERVICE_USER,
    3,
    "calling AE title not recognised",
    "add calling_ae@peer to TRIAGE_CALLERS",
)
ELSEWHERE: Final = replace(
    CALLING_AE,
    put_right="TRIAGE_CALLERS has this title from other networks alone; add calling_ae@peer",
)
# The table has no word for certificates; to the caller it is one whom we do not recognise.
CERTIFICATE: Final = Rejection(
    Result.REJECTED_PERMANENT,
    Source.SERVICE_USER,
    3,
    "certificate is not this caller's",
    "its certificate needs the name that TRIAGE_CALLER_CERTIFICATES has for calling_ae",
)
LOCAL_LIMIT: Final = Rejection(
    Result.REJECTED_TRANSIENT,
    Source.SERVICE_PROVIDER_PRESENTATION,
    2,
    "local limit exceeded",
    "as many are open from this peer as TRIAGE_ASSOCIATIONS_PER_PEER allows",
)
TOO_FAST: Final = replace(
    LOCAL_LIMIT,
    put_right="this peer opens more in a minute than TRIAGE_ASSOCIATIONS_PER_MINUTE allows",
)
FULL: Final = replace(
    LOCAL_LIMIT,
    put_right="TRIAGE_MAX_ASSOCIATIONS are open; raise it, or start another receiver",
)
# "No reason given": the table has none for it.
SHORT_PDU: Final = Rejection(
    Result.REJECTED_PERMANENT,
    Source.SERVICE_USER,
    1,
    "maximum PDU too short for a response",
    "raise the maximum PDU length of the caller",
)
