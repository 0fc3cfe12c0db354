"""How the system itself does: the processes that run, and whom the receivers turned away."""

from datetime import datetime

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from schema.states import ProcessState
from schema.tables.base import Base


class Process(Base):
    """A running part: what it is, where, and its last sign of life; its row outlives it a week."""

    __tablename__ = "process"
    __table_args__ = (UniqueConstraint("owner", "part"), Index(None, "part", "host"))

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str]  # as schema.owners names a process
    part: Mapped[str] = mapped_column(String(16))
    host: Mapped[str]
    # Which of its kind on its host, the same after a restart; empty of a program that does not say.
    instance: Mapped[str] = mapped_column(String(255), default="", server_default="")
    process_id: Mapped[int]
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime]
    alive_at: Mapped[datetime]
    state: Mapped[ProcessState]
    reason: Mapped[str | None]  # why it is not ready, or ended
    model: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(String(64))


class Rejection(Base):
    """How many associations of one caller were rejected for one reason in one hour."""

    __tablename__ = "rejection"
    __table_args__ = (UniqueConstraint("hour", "reason", "calling_ae", "peer"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    hour: Mapped[datetime]  # its begin
    reason: Mapped[str] = mapped_column(String(64))
    calling_ae: Mapped[str] = mapped_column(String(16))
    peer: Mapped[str] = mapped_column(String(64), server_default="")  # its address
    count: Mapped[int]
