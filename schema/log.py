"""The log: one line is one event with its study and job, never a patient."""

import logging
import sys

import structlog

from schema.settings import Settings

# They quote what they read, and what they read may be a name: "Invalid value for VR UI: ...".
NOISY = ("pynetdicom", "pydicom", "highdicom", "alembic", "py.warnings")

# A line for each message and each request, however little it says: at DEBUG alone.
POLLING = ("celery.worker.strategy", "celery.app.trace", "httpx", "httpcore")

# Prints a traceback of what it raises, and we log, anyway.
TALKATIVE = ("pynetdicom.utils",)


def set_up_log(settings: Settings) -> None:
    """Send our events and the libraries' warnings to standard error as one kind of line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(),
            ],
        )
    )
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in POLLING:
        logging.getLogger(name).setLevel(_at_least_warning(settings.log_level))
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _at_least_warning(level: str) -> str:
    return "WARNING" if level == "INFO" else level


def _renderer() -> structlog.typing.Processor:
    if sys.stderr.isatty():
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
