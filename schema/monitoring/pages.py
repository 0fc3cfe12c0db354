"""The pages of a running part: `/metrics` for Prometheus, `/health` and `/ready` for probes."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from schema.monitoring.life import Life
from schema.monitoring.signs import Part, program_version
from schema.ports import naming_the_setting

IDLE_S: Final = 10.0
TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Pages:
    """Serves the pages of one part until it is closed."""

    def __init__(self, server: WSGIServer) -> None:
        self._server = server
        self.port = int(server.server_port)
        threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def open_pages(
    setting: str, host: str, port: int | None, life: Life, registry: CollectorRegistry
) -> Pages | None:
    """Open the pages, if they are wanted.

    Parameters
    ----------
    setting
        The setting of the port, for whoever has to change it.
    port
        None for no pages, 0 for any port that is free.

    Raises
    ------
    SettingsError
        If somebody else has the port.
    """
    if port is None:
        return None
    registry.register(PartCollector(life))
    kind = _Server6 if ":" in host else _Server
    with naming_the_setting(setting, host, port):
        server = make_server(host, port, _application(life, registry), kind, _Silent)
    return Pages(server)


def readiness(missing: Mapping[str, str]) -> tuple[HTTPStatus, str]:
    """Say whether a part is ready, and what it lacks: a line each."""
    if not missing:
        return HTTPStatus.OK, "ready\n"
    lines = (f"{name}: {lack}\n" for name, lack in missing.items())
    return HTTPStatus.SERVICE_UNAVAILABLE, "".join(lines)


class PartCollector(Collector):
    """Whether this part is ready, and what it is."""

    def __init__(self, life: Life) -> None:
        self._life = life

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the gauges."""
        model = self._life.model
        ready = not self._life.missing
        yield from describe_part(self._life.part, ready=ready, model=model.name if model else "")


def describe_part(part: Part, *, ready: bool, model: str) -> Iterator[GaugeMetricFamily]:
    """Give what every part says of itself."""
    readiness_now = GaugeMetricFamily(
        "triage_ready", "Whether this part is ready to work", labels=["part"]
    )
    readiness_now.add_metric([part], float(ready))
    yield readiness_now
    what = GaugeMetricFamily(
        "triage_part_info", "What this part is", labels=["part", "version", "model"]
    )
    what.add_metric([part, program_version(), model], 1)
    yield what


def _application(life: Life, registry: CollectorRegistry) -> Application:
    metrics: Application = make_wsgi_app(registry)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        match environ.get("PATH_INFO"):
            case "/metrics":
                return metrics(environ, start)
            case "/health":
                status, text = HTTPStatus.OK, "ok\n"
            case "/ready":
                status, text = readiness(life.missing)
            case _:
                status, text = HTTPStatus.NOT_FOUND, "/metrics, /health and /ready are here\n"
        start(f"{status.value} {status.phrase}", [TEXT])
        return [text.encode()]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread: one that hangs holds up no probe."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Open the port without asking the domain name system for our name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()


class _Server6(_Server):
    """The same on an IPv6 address."""

    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    """Writes no line for each request, and hangs up on whoever asks nothing."""

    timeout = IDLE_S

    def log_message(self, *_: object) -> None:
        """Say nothing."""
