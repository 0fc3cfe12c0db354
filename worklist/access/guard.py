"""Deny by default: find out who asks before any view runs."""

import asyncio
import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.database import Database
from schema.errors import TriageError
from schema.readers import Role
from schema.settings import Network, Settings
from schema.tables import User
from worklist.access.attempts import Attempts
from worklist.access.sessions import COOKIE, Reader, find_session
from worklist.access.users import (
    LONGEST_NAME,
    anybody,
    check_password,
    find_by_proxys_name,
)

LOCAL = Reader("local", Role.ADMIN, came_by="loopback")
PUBLIC = ("/login", "/static/", "/health", "/healthz", "/ready")
SAFE = frozenset({"GET", "HEAD"})
HASHES_AT_ONCE = 4  # of passwords: each takes 64 MiB and a core for a moment
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "via")
MACHINES = ("/api/", "/events", "/metrics")  # answered by a status, not by a form


@dataclass(frozen=True)
class Gate:
    """Knows whether a login is needed, and whose request this is."""

    database: Database
    settings: Settings
    attempts: Attempts = field(default_factory=Attempts)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHES_AT_ONCE))

    def identify(self, request: Request) -> Reader | None:
        """Find out who asks; None for a stranger."""
        if self.settings.sso_header and (named := self._named_by_proxy(request)):
            return named
        with self.database.reading() as session:
            if token := request.cookies.get(COOKIE):
                found = find_session(session, token)
                if found:
                    return found
            if not self.asks_for_login and is_direct(request) and not anybody(session):
                return LOCAL
        return self._basic(request) if path_of(request).startswith(MACHINES) else None

    @property
    def asks_for_login(self) -> bool:
        """Whether a login is needed even before there is a user."""
        return self.settings.sso_header is not None or not is_loopback(self.settings.worklist_host)

    def is_empty(self) -> bool:
        """Whether nobody can log in, since there is no user."""
        with self.database.reading() as session:
            return not anybody(session) and self.settings.sso_header is None

    def find_address(self, request: Request) -> str:
        """Find the address that a request began at: the nearest that is none of our proxies."""
        ours, address = self.settings.sso_proxies or (), peer_of(request)
        named = request.headers.get("x-forwarded-for", "").split(",")
        while named and _within(address, ours) and _is_address(named[-1].strip()):
            address = named.pop().strip()
        return address

    def is_secure(self, request: Request) -> bool:
        """Whether the browser came by HTTPS, to us or to a proxy that we trust."""
        if request.url.scheme == "https":
            return True
        trusted = _within(peer_of(request), self.settings.sso_proxies or ())
        return trusted and request.headers.get("x-forwarded-proto") == "https"

    def check(self, name: str, password: str, address: str) -> User | None:
        """Check a password, unless there were too many wrong ones."""
        if not self.attempts.allowed(name, address):
            return None
        with self.database.reading() as session:
            user = check_password(session, name, password)
        if user is None:
            self.attempts.failed(name, address)
        else:
            self.attempts.succeeded(name)
        return user

    def _named_by_proxy(self, request: Request) -> Reader | None:
        name = _in_utf8(request.headers.get(self.settings.sso_header or "", "")).strip()
        if not name or not _within(peer_of(request), self.settings.sso_proxies or ()):
            return None
        with self.database.reading() as session:
            user = find_by_proxys_name(session, name)
        role = user.role if user else self.settings.sso_role
        named = user.name if user else name[:LONGEST_NAME]
        return Reader(named, role, came_by="single sign-on") if role else None

    def _basic(self, request: Request) -> Reader | None:
        scheme, _, coded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(coded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        user = self.check(name, password, address_of(request))
        return Reader(user.name, user.role) if user else None


class Access:
    """Wrap an application: whoever is not let in gets no further."""

    def __init__(
        self, app: ASGIApp, gate: Gate, outage: Callable[[Request, Exception], Response]
    ) -> None:
        self.app = app
        self.gate = gate
        self.outage = outage  # what a database that is away is answered with

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        scope["reader"], scope["address"] = None, self.gate.find_address(request)
        if not path_of(request).startswith(PUBLIC):
            try:
                scope["reader"] = await self._identify(request)
            except (TriageError, sa.exc.SQLAlchemyError) as error:
                await self.outage(request, error)(scope, receive, send)
                return
            if scope["reader"] is None:
                await self._turn_away(request)(scope, receive, send)
                return
        if request.method not in SAFE and not is_same_origin(request):
            await JSONResponse({"error": "This came from another site."}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _identify(self, request: Request) -> Reader | None:
        if "authorization" not in request.headers:
            return await run_in_threadpool(self.gate.identify, request)
        async with self.gate.hashing:
            return await run_in_threadpool(self.gate.identify, request)

    @staticmethod
    def _turn_away(request: Request) -> Response:
        path = path_of(request)
        if path.startswith(MACHINES) or request.method not in SAFE:
            headers = {"WWW-Authenticate": 'Basic realm="IHSNet Triage"'}
            told = {"error": "Log in first: a session of the page, or HTTP Basic."}
            return JSONResponse(told, 401, headers if path.startswith("/api/") else None)
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/login?next={quote(path + query)}", 303)


def path_of(request: Request) -> str:
    """Give the path that routes go by; `request.url` is put together from what the caller sent."""
    return str(request.scope["path"])


def address_of(request: Request) -> str:
    """Give the address that a request began at, as the guard found it."""
    return str(request.scope.get("address", "")) or peer_of(request)


def peer_of(request: Request) -> str:
    """Give the address that a request came from, as the socket knows it."""
    return request.client.host if request.client else ""


def is_direct(request: Request) -> bool:
    """Whether a browser on this host asked us by a name of this host.

    A proxy would let its whole network in, and a site whose name was pointed at this host
    (DNS rebinding) every page that a reader has open.
    """
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return is_loopback(urlsplit(f"//{request.headers.get('host', '')}").hostname or "")
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Whether only this host can reach an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_same_origin(request: Request) -> bool:
    """Whether a request that changes something was made by our own page, or by a program."""
    if site := request.headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def own_path(text: str) -> str:
    """Give a path of this site to go on to; the list for anything else."""
    is_ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_ours else "/"


def _in_utf8(header: str) -> str:
    """Read a header as UTF-8, as directories write names, or else as the Latin-1 that it is."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeDecodeError:
        return header


def _is_address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    try:
        return any(ip_address(address) in network for network in networks)
    except ValueError:
        return False


def reader_of(request: Request) -> Reader:
    """Give who asks; the guard has let nobody else through.

    Raises
    ------
    RuntimeError
        If the guard has let in nobody, as on a page that everybody may see.
    """
    reader: Reader | None = request.scope.get("reader")
    if reader is None:
        raise RuntimeError("a view that needs a reader was reached without one")
    return reader


def needing(role: Role, view: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """Let only readers with a role see a view."""

    def guarded(request: Request) -> Response:
        if not reader_of(request).may(role):
            raise HTTPException(HTTPStatus.FORBIDDEN, f"This needs the role {role}.")
        return view(request)

    return guarded
