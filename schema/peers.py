"""Tables of peers in one setting: an AE title and what belongs to it."""

from collections.abc import Iterator
from dataclasses import dataclass

from schema.errors import SettingsError

TLS = "/tls"


@dataclass(frozen=True)
class PeerAddress:
    """Where an application entity listens."""

    ae_title: str
    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True)
class PeerCertificate:
    """The name that an application entity's certificate bears."""

    ae_title: str
    name: str


def parse_addresses(text: str) -> tuple[PeerAddress, ...]:
    """Read ``AE=HOST:PORT, AE=HOST:PORT/tls``.

    Raises
    ------
    SettingsError
        If an entry is not of that form.
    """
    return tuple(_address(ae, value) for ae, value in _entries(text, "AE_TITLE=HOST:PORT"))


def parse_certificates(text: str) -> tuple[PeerCertificate, ...]:
    """Read ``AE=NAME, AE=NAME``.

    Raises
    ------
    SettingsError
        If an entry is not of that form.
    """
    return tuple(PeerCertificate(ae, name) for ae, name in _entries(text, "AE_TITLE=NAME"))


def _entries(text: str, form: str) -> Iterator[tuple[str, str]]:
    seen = set()
    for entry in filter(None, map(str.strip, text.split(","))):
        ae_title, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not value or not 0 < len(ae_title) <= 16:
            raise SettingsError(f"{entry!r} is not of the form {form}")
        if ae_title in seen:
            raise SettingsError(f"{ae_title!r} is named twice")
        seen.add(ae_title)
        yield ae_title, value


def _address(ae_title: str, value: str) -> PeerAddress:
    host, colon, port = value.removesuffix(TLS).rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) <= 65535:
        raise SettingsError(f"{ae_title!r}: {value!r} is not of the form HOST:PORT")
    return PeerAddress(ae_title, host.strip("[]"), int(port), value.endswith(TLS))
