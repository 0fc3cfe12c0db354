"""Who reads the list, and what they say of a result."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from schema.readers import DisagreementCause, Role
from schema.states import Outcome
from schema.tables.base import Base


class User(Base):
    """Who may look at the worklist's page and its API."""

    __tablename__ = "user_account"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str | None]  # NULL: comes in by single sign-on alone
    created_at: Mapped[datetime]


class LoginSession(Base):
    """A login of a browser; the cookie's token is stored as its hash."""

    __tablename__ = "login_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[int] = mapped_column(
        ForeignKey("user_account.id", ondelete="CASCADE"), index=True
    )
    began_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)

    user: Mapped[User] = relationship()


class Verdict(Base):
    """What a reader says of a result: agreed or not, and why not; a newer one counts."""

    __tablename__ = "verdict"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))  # the result that it is about
    agrees: Mapped[bool]
    cause: Mapped[DisagreementCause | None]
    comment: Mapped[str] = mapped_column(default="")
    outcome: Mapped[Outcome | None]  # what the list showed at that time
    given_by: Mapped[str]
    given_at: Mapped[datetime]
