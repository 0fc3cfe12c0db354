"""Warn in the log, once a day, of a certificate that ends soon."""

import time
from datetime import UTC, datetime
from typing import Final

import structlog

from receiver.access.tls import TlsFiles, expires_at, expiry_warning
from schema.settings import Settings

log = structlog.get_logger()

DAY_S: Final = 86_400.0


class CertificateWatch:
    """Looks at our certificate at the start and then every day."""

    def __init__(self, settings: Settings) -> None:
        files = TlsFiles.of(settings)
        self._certificate = None if files is None else files.certificate
        self._next_at_s = 0.0

    def look_now_and_then(self) -> int:
        """Warn if it ends within 30 days or has ended; return whether."""
        if self._certificate is None or time.monotonic() < self._next_at_s:
            return 0
        self._next_at_s = time.monotonic() + DAY_S
        warning = expiry_warning(expires_at(self._certificate), datetime.now(UTC))
        if warning is not None:
            log.warning(warning)
        return int(warning is not None)
