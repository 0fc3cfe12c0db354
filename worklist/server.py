"""The process that serves the page until a signal ends it."""

import signal
import socket
from types import FrameType

import structlog
import uvicorn

from schema.database import Database
from schema.errors import SettingsError
from schema.log import set_up_log
from schema.settings import Settings, stop
from worklist.page import make_app

STOP_WITHIN_S = 5


def run(settings: Settings, database: Database) -> None:
    """Serve until SIGTERM or SIGINT; answers under way are finished first."""
    set_up_log(settings)
    # uvicorn finishes and then raises the signal again: the exit status should say "clean".
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        make_app(database, settings.storage),
        log_config=None,
        log_level=settings.log_level.lower(),
        server_header=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    with _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        structlog.get_logger().info("worklist_serves", url=f"http://{host}:{port}/")
        uvicorn.Server(config).run(sockets=[listener])


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.worklist_host, settings.worklist_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        stop(SettingsError(f"TRIAGE_WORKLIST_PORT: cannot listen on {host}:{port}: {error}"))
