"""TLS towards destinations: TLS 1.2 or newer, the peer's certificate always checked."""

import socket
import ssl
from pathlib import Path

from schema.errors import SettingsError
from worker.delivery.destinations import DicomDestination, Hl7Destination
from worker.delivery.statuses import DestinationDownError


def connect(target: DicomDestination | Hl7Destination) -> socket.socket:
    """Connect, with TLS where it is set.

    Raises
    ------
    DestinationDownError
        It is not reachable, or the two do not agree on TLS; the message says why.
    """
    where = f"{target.host}:{target.port}"
    context = tls_context(target)
    try:
        plain = socket.create_connection((target.host, target.port), target.timeout_s)
    except OSError as error:
        raise DestinationDownError(f"{where} is not reachable: {error}") from error
    if context is None:
        return plain
    try:
        return context.wrap_socket(plain, server_hostname=target.host)
    except OSError as error:
        plain.close()
        raise DestinationDownError(f"{where}: no TLS: {error}") from error


def tls_context(target: DicomDestination | Hl7Destination) -> ssl.SSLContext | None:
    """Make the context of a destination; None where it wants no TLS.

    Raises
    ------
    SettingsError
        A file cannot be read, or key and certificate are not a pair.
    """
    if not target.tls:
        return None
    context = client_context(target.name, target.tls_ca)
    if target.tls_certificate is not None:
        try:
            context.load_cert_chain(target.tls_certificate, target.tls_key)
        except OSError as error:  # includes ssl.SSLError
            raise SettingsError(f"{target.name}: {target.tls_certificate}: {error}") from error
    return context


def client_context(name: str, authority: Path | None) -> ssl.SSLContext:
    """Trust one authority, or those of the system.

    Raises
    ------
    SettingsError
        The authority's file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=authority)
    except OSError as error:
        raise SettingsError(f"{name}: {authority}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def read_secret(name: str, path: Path) -> str:
    """Read a token or a shared secret from its file.

    Raises
    ------
    SettingsError
        It cannot be read or is empty.
    """
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: {path} cannot be read") from error
    if not secret:
        raise SettingsError(f"{name}: {path} is empty")
    return secret
