"""The tables: study, series, instance and association; job, finding and result object.

Typed SQLAlchemy 2 models for SQLite and PostgreSQL. Times are UTC. Paths are relative to the
storage folder, so that it may move.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Computed,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    func,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from schema.hemorrhage_subtypes import Claim
from schema.identity import IdentityChange
from schema.readers import DisagreementCause, Role
from schema.scans import Scan
from schema.states import DeliveryState, JobState, Outcome, SeriesState, StudyState

UID_LENGTH = 64  # VR UI, PS3.5 section 6.2
BIG_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up an INTEGER alone


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored as UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware time into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back that SQLite dropped."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can find it again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[float]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        # Text rather than the database's own enumeration: a new state needs no migration.
        StrEnum: Enum(StrEnum, native_enum=False, length=16),
    }


# A result is unread until somebody saw it; late images take its result away, and the next one is
# newer than what was seen.
UNREAD = "acknowledged_at IS NULL OR finished_at IS NULL OR acknowledged_at < finished_at"
# Levels that are moved up, the most urgent highest; 0 for the normal place, -1 for what was seen.
PLACE = f"CASE WHEN NOT ({UNREAD}) THEN -1 WHEN priority IN (1, 2, 3) THEN 4 - priority ELSE 0 END"
# What a search looks through, beside the place in one index; cut, for an index takes 2.7 kB.
SEARCH_TEXT = (
    "lower(substr(patient_name, 1, 200) || ' ' || substr(patient_id, 1, 64)"
    " || ' ' || substr(accession_number, 1, 64))"
)


def _now() -> datetime:
    return datetime.now(UTC)


class Study(Base):
    """A study as the worklist shows it; the last columns are derived from its jobs."""

    __tablename__ = "study"
    # In the order of the worklist, read backwards; one index for each filter that may be rare.
    __table_args__ = (
        Index(None, "place", "received_at", "id", "search_text"),
        Index(None, "outcome", "place", "received_at", "id"),
        Index(None, "priority", "place", "received_at", "id"),
        Index(None, "state", "place", "received_at", "id"),
        Index(None, "station_name", "place", "received_at", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    patient_id: Mapped[str]
    patient_name: Mapped[str]
    accession_number: Mapped[str] = mapped_column(index=True)
    patient_birth_date: Mapped[str] = mapped_column(default="")
    patient_sex: Mapped[str] = mapped_column(default="")
    issuer_of_patient_id: Mapped[str] = mapped_column(default="")
    # What is wrong with it, in words without a patient: two people under one study.
    identity_alert: Mapped[str | None]
    study_date: Mapped[str]
    study_time: Mapped[str] = mapped_column(default="")
    study_description: Mapped[str]
    station_name: Mapped[str] = mapped_column(default="")
    received_at: Mapped[datetime]

    state: Mapped[StudyState] = mapped_column(default=StudyState.RECEIVING)
    outcome: Mapped[Outcome | None]
    reason: Mapped[str | None]
    priority: Mapped[int] = mapped_column(default=0)
    priority_reason: Mapped[str | None]
    ready_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    model: Mapped[str | None]
    # How much of the head was seen: from_mm, to_mm, share and gaps; NULL until it was looked at.
    coverage: Mapped[dict[str, Any] | None]
    revision: Mapped[int] = mapped_column(default=1)

    # Who has seen the result, and when an unseen critical one was called out a second time.
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    escalated_at: Mapped[datetime | None]
    # The place on the worklist, computed by the database itself, so that no writer can forget it
    # and the list reads a window of an index instead of sorting every study.
    unread: Mapped[bool] = mapped_column(Computed(UNREAD, persisted=True))
    place: Mapped[int] = mapped_column(Computed(PLACE, persisted=True))
    search_text: Mapped[str] = mapped_column(Computed(SEARCH_TEXT, persisted=True))
    changed_at: Mapped[datetime] = mapped_column(
        default=_now, onupdate=_now, server_default=func.now(), index=True
    )

    # Of a study that was not analysed; what was analysed has its objects with the job.
    objects: Mapped[list["ResultObject"]] = relationship(order_by="ResultObject.id")
    series: Mapped[list["Series"]] = relationship(back_populates="study", order_by="Series.id")


class IdentityEvent(Base):
    """Two identities under one study, and what was made of it: the audit of merges and mix-ups."""

    __tablename__ = "identity_event"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))  # where it was first seen
    kind: Mapped[IdentityChange]
    differs: Mapped[str]  # the attributes, without their values
    earlier: Mapped[dict[str, Any]]  # what was known, by the attributes of a patient
    later: Mapped[dict[str, Any]]  # what came
    noted_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]  # of a mismatch that is none any more


class Association(Base):
    """An association (PS3.8) that delivered objects; its end is evidence that a series is whole."""

    __tablename__ = "association"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    calling_ae: Mapped[str]
    peer: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


class Series(Base):
    """A series; its clock moves with every instance and survives a restart."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    modality: Mapped[str]
    description: Mapped[str]
    first_instance_at: Mapped[datetime]
    last_instance_at: Mapped[datetime]

    state: Mapped[SeriesState] = mapped_column(default=SeriesState.RECEIVING, index=True)
    completed_by: Mapped[str | None]  # why it was decided on when it was
    score: Mapped[float | None]
    reason: Mapped[str | None]
    selection_version: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    # When and where its images were scanned: DICOM's date and time, and along the slices' normal.
    scanned_at: Mapped[str] = mapped_column(String(26), default="")
    from_mm: Mapped[float | None]
    to_mm: Mapped[float | None]
    revision: Mapped[int] = mapped_column(default=1)
    removed_instances: Mapped[int] = mapped_column(default=0)  # rows that went with their files

    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list["Instance"]] = relationship(
        back_populates="series", order_by="Instance.id"
    )
    jobs: Mapped[list["Job"]] = relationship(back_populates="series", order_by="Job.id")

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
    version: Mapped[int] = mapped_column(default=1)
    path: Mapped[str] = mapped_column(unique=True)
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


class Commitment(Base):
    """A storage commitment request (PS3.4 annex J) and whether its requestor has the answer."""

    __tablename__ = "commitment"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)  # of the file it came in as
    transaction_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    calling_ae: Mapped[str] = mapped_column(String(16))
    references: Mapped[dict[str, Any]]
    requested_at: Mapped[datetime]
    due_at: Mapped[datetime | None] = mapped_column(index=True)  # NULL once there is no more to do
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None]


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
    attempts: Mapped[int] = mapped_column(default=0)
    token: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
    # What of the surroundings it waits for (the name of the error) and since when.
    waits_for: Mapped[str | None] = mapped_column(String(32))
    waits_since: Mapped[datetime | None]
    worker_faults: Mapped[int] = mapped_column(default=0)  # how often its worker was at fault

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


class Compatibility(Base):
    """The oldest program that may run on these tables; written by migrations that take something.

    A migration that only adds leaves it alone, and so does one that takes what no program of the
    release before used: expand first, contract a release later. No row: any program may.
    """

    __tablename__ = "compatibility"

    id: Mapped[int] = mapped_column(primary_key=True)
    oldest_program: Mapped[int]


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


class Delivery(Base):
    """One thing for one destination: an object, or a message about a result; the outbox."""

    __tablename__ = "delivery"
    __table_args__ = (UniqueConstraint("destination", "key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    destination: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(64))  # SOP Instance UID, or the message's own name
    event: Mapped[str] = mapped_column(String(32), default="RESULT", server_default="RESULT")
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    object_id: Mapped[int | None] = mapped_column(ForeignKey("result_object.id"), index=True)
    priority: Mapped[int]
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING, index=True)
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


class StudyEvent(Base):
    """Something that happened to a study and that others want to hear of, written once."""

    __tablename__ = "study_event"
    __table_args__ = (Index(None, "kind", "created_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    kind: Mapped[str] = mapped_column(String(32))  # UNREAD_CRITICAL
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None] = mapped_column(index=True)  # when the outbox took it
    detail: Mapped[dict[str, Any]]
