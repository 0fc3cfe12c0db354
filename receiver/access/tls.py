"""Mutual TLS by the BCP 195 profile (PS3.15 B.12), and when its certificate ends."""

import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

from schema.errors import SettingsError
from schema.settings import Settings

# RFC 9325 section 4.2: forward secrecy and authenticated encryption alone, as all of TLS 1.3.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
HANDSHAKE_TIMEOUT_S: Final = 5.0
WARN_BEFORE: Final = timedelta(days=30)


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: our certificate with its chain, its key, and the authority of the callers'."""

    certificate: Path
    key: Path
    authority: Path

    @classmethod
    def of(cls, settings: Settings) -> "TlsFiles | None":
        """Take the files from the settings; None where TLS is not configured.

        Raises
        ------
        SettingsError
            If some of the three are set and others are not, or a port lacks them.
        """
        files = (settings.tls_certificate, settings.tls_key, settings.tls_ca)
        if all(files):
            return cls(*cast("tuple[Path, Path, Path]", files))
        if any(files) or settings.tls_port is not None or not settings.dicom_plain:
            raise SettingsError(
                "TLS needs TRIAGE_TLS_CERTIFICATE, TRIAGE_TLS_KEY and TRIAGE_TLS_CA together"
            )
        return None


def acceptor_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context of a server that wants a certificate from every peer.

    Raises
    ------
    SettingsError
        If a file cannot be read or key and certificate are not a pair.
    """
    return _hardened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files)


class LateHandshakeContext(ssl.SSLContext):
    """Shakes hands with the first read, in the connection's own thread.

    For pynetdicom's server: it wraps connections in its accept loop, where one silent peer would
    stop all others.
    """

    def wrap_socket(self, sock: socket.socket, *arguments: Any, **named: Any) -> ssl.SSLSocket:
        """Wrap a connection; no read on it, the handshake among them, waits for long."""
        sock.settimeout(HANDSHAKE_TIMEOUT_S)
        named["do_handshake_on_connect"] = False
        return super().wrap_socket(sock, *arguments, **named)


def late_acceptor_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context of `acceptor_context` for a server that accepts in one thread.

    Raises
    ------
    SettingsError
        If a file cannot be read or key and certificate are not a pair.
    """
    return _hardened(LateHandshakeContext(ssl.PROTOCOL_TLS_SERVER), files)


def requestor_context(files: TlsFiles) -> ssl.SSLContext:
    """Make the context with which we call others.

    Hospitals name their nodes by address, and certificates seldom do; the authority is what counts.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    return _hardened(context, files)


def _hardened(context: ssl.SSLContext, files: TlsFiles) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(files.authority)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"TLS: {error.strerror or error}; check TRIAGE_TLS_*") from error
    return context


def secured(connection: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Shake hands with a peer within a deadline for each of its messages.

    Called in the connection's own thread: in the accept loop one silent peer would stop them all.

    Raises
    ------
    OSError
        If the peer shows no certificate of our authority, speaks an older TLS or none, or is
        silent; `ssl.SSLError` is one.
    """
    timeout_s = connection.gettimeout()
    connection.settimeout(HANDSHAKE_TIMEOUT_S)
    wrapped = context.wrap_socket(connection, server_side=True)
    wrapped.settimeout(timeout_s)
    return wrapped


def peer_names(connection: object) -> frozenset[str]:
    """Give the lower-case names in the peer's verified certificate; none without TLS."""
    if not isinstance(connection, ssl.SSLSocket):
        return frozenset()
    certificate = connection.getpeercert() or {}
    subject = cast("tuple[tuple[tuple[str, str], ...], ...]", certificate.get("subject", ()))
    alternatives = cast("tuple[tuple[str, str], ...]", certificate.get("subjectAltName", ()))
    names = [value for part in subject for kind, value in part if kind == "commonName"]
    names += [value for kind, value in alternatives if kind == "DNS"]
    return frozenset(name.lower() for name in names)


def expires_at(certificate: Path) -> datetime:
    """Read when a PEM certificate ends.

    Raises
    ------
    SettingsError
        If the file holds no certificate.
    """
    try:
        # The standard library's one reader of certificates; a dependency for a date is too much.
        decoded = ssl._ssl._test_decode_cert(str(certificate))  # type: ignore[attr-defined]
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"TRIAGE_TLS_CERTIFICATE: {error}") from error
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(decoded["notAfter"]), UTC)


def expiry_warning(expires: datetime, now: datetime) -> str | None:
    """Say in words that a certificate ends soon or has ended; None while there is time."""
    left = expires - now
    if left > WARN_BEFORE:
        return None
    if left <= timedelta():
        return f"certificate ended on {expires:%Y-%m-%d}: no peer can connect; renew it now"
    return f"certificate ends on {expires:%Y-%m-%d}, in {left.days} days; renew it"
