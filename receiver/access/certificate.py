"""Warn in the log of a certificate that ends soon."""

from datetime import UTC, datetime

import structlog

from receiver.access.tls import TlsFiles, expires_at, expiry_warning
from schema.settings import Settings

log = structlog.get_logger()


class CertificateWatch:
    """Looks at our certificate."""

    def __init__(self, settings: Settings) -> None:
        files = TlsFiles.of(settings)
        self._certificate = None if files is None else files.certificate

    def look(self) -> int:
        """Warn if it ends within 30 days or has ended; return whether."""
        if self._certificate is None:
            return 0
        warning = expiry_warning(expires_at(self._certificate), datetime.now(UTC))
        if warning is not None:
            log.warning(warning)
        return int(warning is not None)
