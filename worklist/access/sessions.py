"""Logins of browsers: a random token in a cookie, its hash in the database."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.readers import Role
from schema.tables import LoginSession, User

COOKIE = "triage_session"


@dataclass(frozen=True)
class Reader:
    """Who asks.

    Attributes
    ----------
    name
        Of the user; `local` on a page that needs no login.
    csrf_token
        What a form must send back; empty if no cookie lets this reader in.
    came_by
        `password`, `single sign-on` or `loopback`.
    """

    name: str
    role: Role
    csrf_token: str = ""
    came_by: str = "password"

    def may(self, needed: Role) -> bool:
        """Whether the role includes another one."""
        order = list(Role)
        return order.index(self.role) >= order.index(needed)


def begin_session(session: Session, user: User, hours: float) -> str | None:
    """Log a user in; give the token for the cookie.

    None if the user was changed or removed since the password was checked, which takes a moment.
    """
    unchanged = User.id == user.id, User.password_hash == user.password_hash
    if session.scalar(sa.select(User.id).where(*unchanged).with_for_update()) is None:
        return None
    token, now = secrets.token_urlsafe(32), read_clock(session)
    session.execute(sa.delete(LoginSession).where(LoginSession.ends_at < now))
    session.add(
        LoginSession(
            token_sha256=_digest(token),
            csrf_token=secrets.token_urlsafe(32),
            user_id=user.id,
            began_at=now,
            ends_at=now + timedelta(hours=hours),
        )
    )
    return token


def find_session(session: Session, token: str) -> Reader | None:
    """Give the reader of a cookie's token; None if it is unknown or over."""
    query = sa.select(LoginSession).where(
        LoginSession.token_sha256 == _digest(token), LoginSession.ends_at > read_clock(session)
    )
    found = session.scalars(query.options(sa.orm.joinedload(LoginSession.user))).one_or_none()
    return Reader(found.user.name, found.user.role, found.csrf_token) if found else None


def end_session(session: Session, token: str) -> None:
    """Log one browser out."""
    session.execute(sa.delete(LoginSession).where(LoginSession.token_sha256 == _digest(token)))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
