"""The analysis of a series: job, findings, key picture, result objects."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ForeignKey,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from schema.hemorrhage_subtypes import Claim
from schema.states import JobState, Outcome
from schema.tables.arrival import Series
from schema.tables.base import UID_LENGTH, Base

if TYPE_CHECKING:  # the tables refer to each other
    from schema.tables.delivery import Delivery


class Job(Base):
    """The analysis of one revision of one series: lease, fencing token, attempts and result."""

    __tablename__ = "job"
    __table_args__ = (UniqueConstraint("series_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    revision: Mapped[int]
    state: Mapped[JobState] = mapped_column(default=JobState.READY, index=True)
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    dispatched_at: Mapped[datetime | None]  # when its first message went out
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # How often a worker took it from one that had gone silent.
    take_overs: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error: Mapped[str | None]
    # What of the surroundings it waits for (the name of the error) and since when.
    waits_for: Mapped[str | None] = mapped_column(String(32))
    waits_since: Mapped[datetime | None]
    worker_faults: Mapped[int] = mapped_column(default=0)  # how often its worker was at fault

    # Its place in the queue, see schema.queue: points, what they are for, and from when on it takes
    # turns with more urgent ones. A program that knows no order leaves them to the database.
    weight: Mapped[float] = mapped_column(default=0, server_default="0")
    weighed: Mapped[dict[str, Any] | None]
    overdue_at: Mapped[datetime | None]
    # The oldest program that may work on it, as `Compatibility` says it of all tables.
    needs_program: Mapped[int] = mapped_column(default=1, server_default="1")

    outcome: Mapped[Outcome | None]
    reason: Mapped[str | None]
    priority: Mapped[int] = mapped_column(default=0)
    priority_reason: Mapped[str | None]
    rule_version: Mapped[str | None]
    model: Mapped[str | None]
    model_sha256: Mapped[str | None] = mapped_column(String(64))
    measured: Mapped[dict[str, Any] | None]
    look: Mapped[dict[str, Any] | None]  # what the pixels show, see worker.look.series_look.Look
    coverage: Mapped[dict[str, Any] | None]
    timings_s: Mapped[dict[str, Any] | None]
    # Of each slice, from below: position_mm, probability of any blood, blood_ml; and the gaps.
    slices: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)

    series: Mapped[Series] = relationship(back_populates="jobs")
    key_picture: Mapped["KeyPicture | None"] = relationship()
    findings: Mapped[list["Finding"]] = relationship(order_by="Finding.id")
    objects: Mapped[list["ResultObject"]] = relationship(order_by="ResultObject.id")


class Finding(Base):
    """What the model says of one type of hemorrhage, or of any, in one job."""

    __tablename__ = "finding"
    __table_args__ = (UniqueConstraint("job_id", "subtype"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    subtype: Mapped[str] = mapped_column(String(8))
    probability: Mapped[float]
    volume_ml: Mapped[float]
    present: Mapped[bool]
    claim: Mapped[Claim] = mapped_column(default=Claim.REPORTED)


class KeyPicture(Base):
    """The slice with most blood, with its outline, for the list: a JPEG without a word on it."""

    __tablename__ = "key_picture"

    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    jpeg: Mapped[bytes] = mapped_column(deferred=True)


class ResultObject(Base):
    """A DICOM object of a result; its UID is derived from what is in it.

    It belongs to the job that wrote it; or, where nothing was analysed, to a revision of the study.
    """

    __tablename__ = "result_object"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), index=True)
    study_revision: Mapped[int | None]
    kind: Mapped[str] = mapped_column(String(8))
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    audience: Mapped[str] = mapped_column(String(8), default="all")  # all, full or triage

    # By its UID: a later job that makes the very same object is owed to nobody a second time.
    deliveries: Mapped[list["Delivery"]] = relationship(
        primaryjoin="ResultObject.sop_instance_uid == foreign(Delivery.key)",
        order_by="Delivery.destination",
        viewonly=True,
    )
