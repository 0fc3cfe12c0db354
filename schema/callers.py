"""Who may send: a list of AE titles and networks, closed unless somebody is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from schema.errors import SettingsError

ANYONE = "*"


@dataclass(frozen=True)
class Caller:
    """One line of the allow-list.

    Attributes
    ----------
    ae_title
        The calling AE title, or ``*`` for any.
    network
        The peer addresses it may call from.
    """

    ae_title: str
    network: IPv4Network | IPv6Network

    def matches(self, ae_title: str, address: str) -> bool:
        """Say whether a peer with this calling AE title at this address is meant."""
        return self.ae_title in (ANYONE, ae_title) and ip_address(address) in self.network


def parse_callers(text: str) -> tuple[Caller, ...]:
    """Read ``AE@network, AE@network``; an AE title of ``*`` stands for any.

    Raises
    ------
    SettingsError
        If an entry is not of that form.
    """
    return tuple(_parse_caller(entry.strip()) for entry in text.split(",") if entry.strip())


def _parse_caller(entry: str) -> Caller:
    ae_title, at, network = entry.partition("@")
    if not at or not ae_title or len(ae_title) > 16:
        raise SettingsError(f"TRIAGE_CALLERS: {entry!r} is not of the form AE_TITLE@NETWORK")
    try:
        return Caller(ae_title, ip_network(network, strict=False))
    except ValueError as error:
        raise SettingsError(f"TRIAGE_CALLERS: {entry!r}: {error}") from error


def is_allowed(callers: Sequence[Caller], ae_title: str, address: str) -> bool:
    """Say whether any entry of the list matches; an empty list lets nobody in."""
    return any(caller.matches(ae_title, address) for caller in callers)
