"""Who may open an association: a decision of values alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from pynetdicom.pdu_primitives import A_ASSOCIATE

from receiver.protocol.rejection import CALLED_AE, CALLING_AE, CERTIFICATE, ELSEWHERE, Rejection
from schema.callers import Caller, is_allowed
from schema.settings import Settings


@dataclass(frozen=True)
class AssociationRequest:
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

    @classmethod
    def of(
        cls, primitive: A_ASSOCIATE, address: str, certificate_names: frozenset[str]
    ) -> "AssociationRequest":
        """Take the titles, which are padded with spaces, from what a peer asks."""
        calling, called = primitive.calling_ae_title, primitive.called_ae_title
        return cls(calling.strip(), called.strip(), address, certificate_names)


@dataclass(frozen=True)
class AccessRules:
    """Who is let in.

    Attributes
    ----------
    ae_titles
        What we may be called.
    certificates
        By calling AE title, the lower-case name that its certificate must bear.
    """

    ae_titles: Collection[str]
    callers: Sequence[Caller]
    certificates: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings) -> "AccessRules":
        """Take the rules from the settings."""
        certificates = settings.caller_certificates or ()
        names = {attribute.ae_title: attribute.name.lower() for attribute in certificates}
        return cls(settings.ae_titles, settings.allowed_callers, names)


def refuse(request: AssociationRequest, rules: AccessRules) -> Rejection | None:
    """Say why an association is refused, or None where it may be opened.

    The caller is checked first: a stranger does not learn which title would have been right.
    """
    if not is_allowed(rules.callers, request.calling_ae, plain_address(request.address)):
        return ELSEWHERE if _is_named(rules.callers, request.calling_ae) else CALLING_AE
    name = rules.certificates.get(request.calling_ae)
    if name is not None and name not in request.certificate_names:
        return CERTIFICATE
    return None if request.called_ae in rules.ae_titles else CALLED_AE


def _is_named(callers: Sequence[Caller], calling_ae: str) -> bool:
    return any(caller.ae_title == calling_ae for caller in callers)


def plain_address(address: str) -> str:
    """Give an IPv4 peer of an IPv6 socket its IPv4 address, the one that the list names."""
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)
