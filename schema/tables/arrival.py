"""What arrives: associations, series and instances, and what others announce of them."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    String,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from schema.scans import Scan
from schema.states import SeriesState
from schema.tables.base import BIG_ID, UID_LENGTH, Base, partial_index
from schema.tables.study import Study

if TYPE_CHECKING:  # the tables refer to each other
    from schema.tables.analysis import Job


class Association(Base):
    """An association (PS3.8) that delivered objects; its end is evidence that a series is whole."""

    __tablename__ = "association"
    __table_args__ = (partial_index("ix_association_open", ("id",), "closed_at IS NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    calling_ae: Mapped[str]
    called_ae: Mapped[str | None] = mapped_column(String(16))  # by which of our titles
    peer: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    aborted: Mapped[bool] = mapped_column(default=False, server_default=false())  # not released
    storage: Mapped[uuid.UUID | None]  # where its folder is; see schema.storage


class Series(Base):
    """A series; its clock moves with every instance and survives a restart."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    modality: Mapped[str]
    description: Mapped[str]
    series_number: Mapped[int | None]
    first_instance_at: Mapped[datetime]
    last_instance_at: Mapped[datetime]

    state: Mapped[SeriesState] = mapped_column(default=SeriesState.RECEIVING, index=True)
    completed_by: Mapped[str | None]  # why it was decided on when it was
    # Its newest association was aborted, and nobody's count says that all of it is here.
    cut_short: Mapped[bool] = mapped_column(default=False, server_default=false())
    score: Mapped[float | None]
    reason: Mapped[str | None]
    selection_version: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    # When and where its images were scanned: DICOM's date and time, and along the slices' normal.
    scanned_at: Mapped[str] = mapped_column(String(26), default="")
    from_mm: Mapped[float | None]
    to_mm: Mapped[float | None]
    revision: Mapped[int] = mapped_column(default=1)
    removed_instances: Mapped[int] = mapped_column(default=0)  # rows that went with their files
    # What its first object says of the request behind it: priority, department, service, location.
    requested: Mapped[dict[str, Any] | None]

    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list["Instance"]] = relationship(
        back_populates="series", order_by="Instance.id"
    )
    jobs: Mapped[list["Job"]] = relationship(back_populates="series", order_by="Job.id")

    @property
    def name(self) -> str:
        """What texts call it; they leave the system, and people write names into descriptions."""
        return str(self.series_number or f"...{self.series_instance_uid[-12:]}")

    @property
    def scan(self) -> Scan:
        """What it is to be compared by with the other series of its study."""
        return Scan(self.score or 0.0, self.scanned_at or "", self.from_mm, self.to_mm)

    def newest_instances(self) -> list["Instance"]:
        """Give the newest version of each SOP instance, in the order of arrival."""
        newest = {
            instance.sop_instance_uid: instance for instance in sorted(self.instances, key=_version)
        }
        return sorted(newest.values(), key=lambda instance: instance.id)

    def analysed_instances(self) -> list["Instance"]:
        """Give what the selection did not leave out and is still here: what a worker reads."""
        return [instance for instance in self.newest_instances() if instance.left_out is None]


def _version(instance: "Instance") -> tuple[datetime, int]:
    """Order versions of one object: what was received last is the newest."""
    return instance.stored_at or instance.received_at, instance.version


class Instance(Base):
    """One stored SOP instance; other content under the same UID is kept as the next version."""

    __tablename__ = "instance"
    __table_args__ = (UniqueConstraint("series_id", "sop_instance_uid", "version"),)

    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    association_id: Mapped[int | None] = mapped_column(ForeignKey("association.id"))
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
    sop_class_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    dimse_priority: Mapped[int | None]  # of its C-STORE; NULL where it came in another way
    version: Mapped[int] = mapped_column(default=1)
    path: Mapped[str] = mapped_column(unique=True)
    storage: Mapped[uuid.UUID | None]  # on which the path is; see schema.storage
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]  # by the file: when its sender heard that it is safe
    # Along the slice's normal, one a frame; empty for what is no axial CT slice.
    slice_position_mm: Mapped[list[float] | None]
    # What else the selection looks at, read once when the object was catalogued.
    header: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    left_out: Mapped[str | None]  # why the analysis of its series does not use it

    series: Mapped[Series] = relationship(back_populates="instances")
    association: Mapped[Association | None] = relationship()


class Announcement(Base):
    """What somebody else says a series holds: evidence that it is whole, or that it is not.

    It may come before the first instance, so it names the series by its UID.
    """

    __tablename__ = "announcement"
    __table_args__ = (UniqueConstraint("series_instance_uid", "source", "ae_title"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
    source: Mapped[str] = mapped_column(String(8))  # C-FIND, MPPS or IAN
    ae_title: Mapped[str] = mapped_column(String(16))
    instances: Mapped[int]
    sop_instance_uids: Mapped[list[str] | None]
    announced_at: Mapped[datetime]


class ProcedureStep(Base):
    """A Modality Performed Procedure Step; at its end, its contents become announcements."""

    __tablename__ = "procedure_step"

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    ae_title: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    contents: Mapped[dict[str, Any]]  # series: its SOP instances
    begun_at: Mapped[datetime]


class Commitment(Base):
    """A storage commitment request (PS3.4 annex J) and whether its requestor has the answer."""

    __tablename__ = "commitment"
    __table_args__ = (partial_index("ix_commitment_due_at", ("due_at",), "due_at IS NOT NULL"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)  # of the file it came in as
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    calling_ae: Mapped[str] = mapped_column(String(16))
    references: Mapped[dict[str, Any]]
    requested_at: Mapped[datetime]
    due_at: Mapped[datetime | None]  # NULL once there is no more to do
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    storage: Mapped[uuid.UUID | None]  # the one that it came in by, whose receivers answer it


class StoreCheck(Base):
    """Until when each file of a store is known to have its row; one row a storage, or none yet.

    It comes back with a backup, so the files that came after the backup are looked at again.
    """

    __tablename__ = "store_check"

    id: Mapped[int] = mapped_column(primary_key=True)
    checked_until: Mapped[datetime]
    storage: Mapped[uuid.UUID | None]
