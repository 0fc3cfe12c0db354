"""The synthetic heads that we send ourselves, to see that the way from port to result is open."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from schema.tables.base import Base


class Canary(Base):
    """A synthetic head, written here with its study before it is sent.

    So nobody outside can make a study of theirs one: its UID is random and known to us alone. What
    comes under that UID with another content than we sent makes it an ordinary study.
    """

    __tablename__ = "canary"

    id: Mapped[int] = mapped_column(primary_key=True)
    # NULL when the study was removed, and where it is an ordinary one after all.
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), unique=True)
    digests: Mapped[list[str]]  # of the datasets that we send
    sent_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]
    seconds: Mapped[float | None]  # from the first byte sent to the result; NULL without one
    is_known: Mapped[bool | None]  # whether the result is the one that this head has
    detail: Mapped[str | None]  # what it is, or what went wrong
