"""The login form, logging out, and the list of users for an admin."""

from dataclasses import dataclass
from http import HTTPStatus

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from schema.readers import Role
from schema.tables import User
from worklist.access.audit import Act, Trail, What
from worklist.access.guard import Gate, address_of, needing, own_path, reader_of
from worklist.access.sessions import COOKIE, begin_session, end_session
from worklist.actions import read_form
from worklist.rendering import Templates

WRONG = "Name or password is wrong."
NOBODY = (
    "Nobody can log in yet. Add a user on the host: python -m worklist user add NAME --role admin."
    " Until then the page answers browsers on its own host alone, by http://127.0.0.1 or localhost."
)
TOO_OFTEN = "Too many wrong passwords. Wait five minutes, or ask an admin."


@dataclass(frozen=True)
class AccessViews:
    """Routes around who looks."""

    gate: Gate
    templates: Templates
    trail: Trail

    def routes(self) -> list[BaseRoute]:
        """Say which address does what."""
        return [
            Route("/login", self.form, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/users", needing(Role.ADMIN, self.users)),
        ]

    def form(self, request: Request) -> Response:
        """Show the login form."""
        problem = NOBODY if self.gate.is_empty() else ""
        return self._form(request, request.query_params.get("next", "/"), problem)

    async def login(self, request: Request) -> Response:
        """Let in whoever knows the password."""
        form = await read_form(request)
        async with self.gate.hashing:
            return await run_in_threadpool(self._login, request, form)

    async def logout(self, request: Request) -> Response:
        """End the session of this browser."""
        await read_form(request)
        await run_in_threadpool(self._logout, request)
        answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE)
        return answer

    def users(self, request: Request) -> Response:
        """Show who may log in."""
        with self.gate.database.reading() as session:
            users = session.scalars(sa.select(User).order_by(User.name)).all()
            rows = [
                (user.name, user.role, bool(user.password_hash), user.created_at) for user in users
            ]
        return self.templates.show(request, "users.html", users=rows)

    def _login(self, request: Request, form: dict[str, str]) -> Response:
        name, address = form.get("name", "").strip(), address_of(request)
        following = own_path(form.get("next", "/"))
        if not self.gate.attempts.allowed(name, address):
            self.trail.write(Act(What.LOGIN, name[:64], address, worked=False))
            return self._form(request, following, TOO_OFTEN, HTTPStatus.TOO_MANY_REQUESTS)
        user = self.gate.check(name, form.get("password", ""), address)
        token = self._begin_session(user) if user else None
        self.trail.write(Act(What.LOGIN, name[:64], address, worked=token is not None))
        if token is None:
            return self._form(request, following, WRONG, HTTPStatus.UNAUTHORIZED)
        answer = RedirectResponse(following, HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE,
            token,
            max_age=int(self.gate.settings.session_h * 3600),
            httponly=True,
            samesite="strict",
            secure=self.gate.is_secure(request),
        )
        return answer

    def _begin_session(self, user: User) -> str | None:
        with self.gate.database.transaction() as session:
            return begin_session(session, user, self.gate.settings.session_h)

    def _logout(self, request: Request) -> None:
        self.trail.write(Act(What.LOGOUT, reader_of(request).name, address_of(request)))
        with self.gate.database.transaction() as session:
            end_session(session, request.cookies.get(COOKIE, ""))

    def _form(
        self, request: Request, following: str, problem: str = "", status: int = 200
    ) -> Response:
        return self.templates.show(
            request, "login.html", status, following=own_path(following), problem=problem
        )
