"""Who may open an association: a decision of values alone, and how a refusal is said (PS3.8)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv6Address, ip_address
from typing import Final

from schema.callers import Caller, is_allowed
from schema.settings import Settings


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
REJECTIONS: Final = (CALLED_AE, CALLING_AE, CERTIFICATE, LOCAL_LIMIT, CONGESTION)


@dataclass(frozen=True)
class Knock:
    """Who asks for an association.

    Attributes
    ----------
    certificate_names
        The names in the peer's verified certificate; empty without TLS.
    """

    calling_ae: str
    called_ae: str
    address: str
    certificate_names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AccessRules:
    """Who is let in.

    Attributes
    ----------
    certificates
        By calling AE title, the lower-case name that its certificate must bear.
    """

    ae_title: str
    callers: Sequence[Caller]
    certificates: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> "AccessRules":
        """Take the rules from the settings."""
        certificates = settings.caller_certificates or ()
        names = {one.ae_title: one.name.lower() for one in certificates}
        return cls(settings.ae_title, settings.allowed_callers, names)


def refuse(knock: Knock, rules: AccessRules) -> Rejection | None:
    """Say why an association is refused, or None where it may be opened.

    The caller is judged first: a stranger does not learn which title would have been right.
    """
    if not is_allowed(rules.callers, knock.calling_ae, plain_address(knock.address)):
        return CALLING_AE
    name = rules.certificates.get(knock.calling_ae)
    if name is not None and name not in knock.certificate_names:
        return CERTIFICATE
    return None if knock.called_ae == rules.ae_title.strip() else CALLED_AE


def plain_address(address: str) -> str:
    """Give an IPv4 peer of an IPv6 socket its IPv4 address, the one that the list names."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
