"""What leaves the system: deliveries and their destinations."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from schema.states import DeliveryState
from schema.tables.analysis import ResultObject
from schema.tables.base import UID_LENGTH, Base
from schema.tables.study import Study


class Delivery(Base):
    """One thing for one destination: an object, or a message about a result; the outbox."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("destination", "key"),
        Index(None, "state", "destination", "due_at"),
        Index(None, "key"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    destination: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))  # SOP Instance UID, or the message's own name
    event: Mapped[str] = mapped_column(String(32), default="RESULT", server_default="RESULT")
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("result_object.id"), index=True)
    priority: Mapped[int]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    committed_at: Mapped[datetime | None]
    transaction_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH), index=True)
    last_error: Mapped[str | None]

    study: Mapped[Study] = relationship()
    object: Mapped[ResultObject | None] = relationship()


class Destination(Base):
    """How a destination does: held by an operator, or left alone for a while after failures."""

    __tablename__ = "destination"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    held: Mapped[bool] = mapped_column(default=False)
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    open_until: Mapped[datetime | None]  # nothing is sent before
    last_error: Mapped[str | None]
