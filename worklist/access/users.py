"""Users and their passwords, as the database keeps them."""

import re
import unicodedata

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Session

from schema.database import read_clock
from schema.errors import PermanentError
from schema.readers import Role
from schema.tables import LoginSession, User

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SIGNS = frozenset("._@-\\")  # beside letters and digits in a directory's name: DOMAIN\name
LONGEST_NAME = 64
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1000  # a hash of a megabyte would be a way to keep the page busy
hasher = PasswordHasher()  # argon2id with RFC 9106's second recommendation, 64 MiB
# Of nobody's password: an unknown name takes as long to refuse as a wrong password.
NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$O6yHJcyetPr71j+Q+rxkEg$"
    "DNeqb7sgZ78hGchgZXMtsyDycPZWTk7OjOF3iky73nw"
)


class UserError(PermanentError):
    """A user cannot be made, found or changed as asked."""


def add_user(session: Session, name: str, role: Role, password: str | None) -> User:
    """Add a user, or give one that exists another role and password; ends its sessions.

    Raises
    ------
    UserError
        If the name or the password is none.
    """
    if password is None and not _is_of_directory(name):
        raise UserError(f"user {name!r}: a name is up to 64 letters, digits and any of . _ @ - \\")
    if password is not None and not NAME.fullmatch(name):
        raise UserError(
            f"user {name!r}: a name with a password is up to 64 letters from A to Z, digits and any"
            " of . _ @ -; with --no-password letters of any script and \\, too"
        )
    if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(f"user {name}: a password has {SHORTEST_PASSWORD} characters or more")
    # Locked before its sessions end, so that none begins by the old password behind that.
    named = sa.select(User).where(User.name == name).with_for_update()
    user = session.scalars(named).one_or_none()
    if user is None:
        if (same := find_by_proxys_name(session, name)) is not None:
            raise UserError(f"user {name!r}: there is {same.name!r}, the same for single sign-on")
        user = User(name=name, created_at=read_clock(session))
        session.add(user)
    else:
        end_sessions(session, user)
    user.role = role
    user.password_hash = None if password is None else hasher.hash(password)
    session.flush()
    return user


def find_by_proxys_name(session: Session, name: str) -> User | None:
    """Give the user whom a proxy names: directories tell no capital letter from a small one.

    None where two are named so, as before names were told apart without regard to case.
    """
    users = session.scalars(sa.select(User)).all()
    found = [user for user in users if user.name == name]
    found = found or [user for user in users if _is_same(user.name, name)]
    return found[0] if len(found) == 1 else None


def _is_same(first: str, second: str) -> bool:
    # Some letters beyond ASCII fold into it, such as the sign of Kelvin: never into its admin.
    return first.isascii() == second.isascii() and _folded(first) == _folded(second)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _is_of_directory(name: str) -> bool:
    letters = all(sign in SIGNS or unicodedata.category(sign)[0] in "LMN" for sign in name)
    return letters and len(name) <= LONGEST_NAME and name[:1].isalnum()


def remove_user(session: Session, name: str) -> None:
    """Remove a user and end its sessions; what it did stays written.

    Raises
    ------
    UserError
        If there is none of this name.
    """
    user = session.scalars(sa.select(User).where(User.name == name)).one_or_none()
    if user is None:
        raise UserError(f"user {name!r}: there is none of this name")
    end_sessions(session, user)
    session.delete(user)


def end_sessions(session: Session, user: User) -> None:
    """Log a user out everywhere."""
    session.execute(sa.delete(LoginSession).where(LoginSession.user_id == user.id))


def check_password(session: Session, name: str, password: str) -> User | None:
    """Give the user whose name and password these are; None for any other two."""
    user = session.scalars(sa.select(User).where(User.name == name)).one_or_none()
    stored = user.password_hash if user and user.password_hash else NOBODY
    try:
        hasher.verify(stored, password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    return user


def anybody(session: Session) -> bool:
    """Whether there is a user at all: then the page asks who looks."""
    return session.scalar(sa.select(User.id).limit(1)) is not None
