"""How an association is refused: the results, sources and reasons of PS3.8 table 9-21."""

from dataclasses import dataclass
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
    """

    result: Result
    source: Source
    diagnostic: int
    reason: str


CALLED_AE: Final = Rejection(
    Result.REJECTED_PERMANENT, Source.SERVICE_USER, 7, "called AE title not recognised"
)
CALLING_AE: Final = Rejection(
    Result.REJECTED_PERMANENT, Source.SERVICE_USER, 3, "calling AE title not recognised"
)
# The table has no word for certificates; to the caller it is one whom we do not recognise.
CERTIFICATE: Final = Rejection(
    Result.REJECTED_PERMANENT, Source.SERVICE_USER, 3, "certificate is not this caller's"
)
LOCAL_LIMIT: Final = Rejection(
    Result.REJECTED_TRANSIENT, Source.SERVICE_PROVIDER_PRESENTATION, 2, "local limit exceeded"
)
CONGESTION: Final = Rejection(
    Result.REJECTED_TRANSIENT, Source.SERVICE_PROVIDER_PRESENTATION, 1, "temporary congestion"
)
# "No reason given": the table has none for it.
SHORT_PDU: Final = Rejection(
    Result.REJECTED_PERMANENT, Source.SERVICE_USER, 1, "maximum PDU too short for a response"
)
