"""The process that serves the page until a signal ends it."""

import signal
import socket
from datetime import timedelta
from types import FrameType

import structlog
import uvicorn

from schema.database import Database
from schema.errors import SettingsError
from schema.files import keep_private
from schema.log import set_up_log
from schema.monitoring.life import Life, database_missing
from schema.monitoring.signs import Part
from schema.settings import Settings, stop
from worklist.access.audit import Act, Trail, What
from worklist.access.guard import is_loopback
from worklist.access.users import anybody
from worklist.acknowledgement import escalate
from worklist.chores import Chores
from worklist.events import Events
from worklist.images.cache import make_cache
from worklist.page import make_app

STOP_WITHIN_S = 5


def run(settings: Settings, database: Database) -> None:
    """Serve until SIGTERM or SIGINT; answers under way are finished first."""
    set_up_log(settings)
    keep_private()
    require_login_beyond_loopback(settings, database)
    events, trail, cache = Events(database), Trail(settings), make_cache(settings)
    # uvicorn finishes and then raises the signal again: the exit status should say "clean".
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        make_app(database, settings, events),
        log_config=None,
        proxy_headers=False,  # whose header is believed is the guard's to decide
        log_level=settings.log_level.lower(),
        server_header=False,
        access_log=False,  # a line names what was searched for: a patient; and the list polls
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    with _listen(settings) as listener:
        host, port = listener.getsockname()[:2]
        structlog.get_logger().info("worklist_serves", url=f"http://{host}:{port}/")
        trail.write(Act(What.STARTED, "ihsnet-triage worklist"))
        cache.clear()
        checks = {"database": lambda: database_missing(database)}
        own = f"port {settings.worklist_port}"
        life = Life(Part.WORKLIST, database, checks, instance=own)
        life.start()
        with Chores(
            lambda: escalate(database, timedelta(seconds=settings.escalate_after_s)),
            lambda: cache.forget_removed(database),
        ):
            try:
                Server(config, events).run(sockets=[listener])
            finally:
                life.stop()
                trail.write(Act(What.STOPPED, "ihsnet-triage worklist"))


class Server(uvicorn.Server):
    """Ends the streams of events with itself: they would wait for ever."""

    def __init__(self, config: uvicorn.Config, events: Events) -> None:
        super().__init__(config)
        self._events = events

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        self._events.stop()
        super().handle_exit(sig, frame)


def require_login_beyond_loopback(settings: Settings, database: Database) -> None:
    """End the program if anybody in the network could look without a login."""
    if is_loopback(settings.worklist_host) or settings.sso_header:
        return
    with database.reading() as session:
        if anybody(session):
            return
    stop(
        SettingsError(
            f"TRIAGE_WORKLIST_HOST: {settings.worklist_host} is no loopback address and nobody can"
            " log in yet; add a user with python -m worklist user add NAME --role admin"
        )
    )


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def _listen(settings: Settings) -> socket.socket:
    host, port = settings.worklist_host, settings.worklist_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        stop(SettingsError(f"TRIAGE_WORKLIST_PORT: cannot listen on {host}:{port}: {error}"))
