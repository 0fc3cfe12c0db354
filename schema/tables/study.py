"""A study as the worklist shows it, and what happened to it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Computed,
    ForeignKey,
    Index,
    String,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from schema.identity import IdentityChange
from schema.letters import fold_beyond_ascii
from schema.states import Outcome, StudyState
from schema.tables.base import UID_LENGTH, Base, partial_index

if TYPE_CHECKING:  # the tables refer to each other
    from schema.tables.analysis import ResultObject
    from schema.tables.arrival import Series

# A result is unread until somebody saw it; late images take its result away, and the next one is
# newer than what was seen.
UNREAD = "acknowledged_at IS NULL OR finished_at IS NULL OR acknowledged_at < finished_at"
# Levels that are moved up, the most urgent highest; 0 for the normal place, -1 for what was seen.
PLACE = f"CASE WHEN NOT ({UNREAD}) THEN -1 WHEN priority IN (1, 2, 3) THEN 4 - priority ELSE 0 END"


# What a search looks through, beside the place in one index; cut, for an index takes 2.7 kB.
# Letters beyond ASCII the program folds into `search_folded`: databases know them or not.
SEARCHED = ("patient_id", "accession_number", "patient_name")
SEARCH_TEXT = (
    "lower(substr(patient_name, 1, 200) || ' ' || substr(patient_id, 1, 64)"
    " || ' ' || substr(accession_number, 1, 64))"
)

# What is looked for over and over, each with an index of just these rows. Written so that no other
# index fits: SQLite keeps no statistics and would read all that is DONE.
FILES_KEPT = (
    "state || '' = 'DONE' AND outcome || '' IN ('POSITIVE', 'NEGATIVE', 'INDETERMINATE')"
    " AND swept_at IS NULL"
)
UNSTATED = (
    "state || '' = 'DONE' AND outcome || '' IN ('NOT_ANALYSED', 'FAILED')"
    " AND (stated_revision IS NULL OR stated_revision <> revision)"
)
CRITICAL_UNSEEN = "place + 0 = 3 AND escalated_at IS NULL"


def _now() -> datetime:
    return datetime.now(UTC)


class Study(Base):
    """A study as the worklist shows it; the last columns are derived from its jobs."""

    __tablename__ = "study"
    # In the order of the worklist, read backwards; one index for each filter that may be rare.
    __table_args__ = (
        Index(None, "place", "received_at", "id", "search_text", "search_folded"),
        Index(None, "outcome", "place", "received_at", "id"),
        Index(None, "priority", "place", "received_at", "id"),
        Index(None, "state", "place", "received_at", "id"),
        Index(None, "station_name", "place", "received_at", "id"),
        Index(None, "place", "finished_at"),
        partial_index("ix_study_critical_unseen", ("finished_at",), CRITICAL_UNSEEN),
        partial_index("ix_study_files_kept", ("finished_at",), FILES_KEPT),
        partial_index("ix_study_unstated", ("id",), UNSTATED),
        partial_index("ix_study_identity_alert", ("id",), "identity_alert IS NOT NULL"),
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

    # What is still to be done about it: its best eligible series has not had its turn and the
    # others went unread; its files may go; delivery has stated that it was not analysed.
    second_choice_at: Mapped[datetime | None] = mapped_column(index=True)
    swept_at: Mapped[datetime | None]  # NULL as soon as anything in it changes
    stated_revision: Mapped[int | None]
    statement_due_at: Mapped[datetime | None]  # of one that could not be stated; NULL: at once

    # Who has seen the result, and when an unseen critical one was called out a second time.
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    escalated_at: Mapped[datetime | None]
    # The place on the worklist, computed by the database itself, so that no writer can forget it
    # and the list reads a window of an index instead of sorting every study.
    unread: Mapped[bool] = mapped_column(Computed(UNREAD, persisted=True))
    place: Mapped[int] = mapped_column(Computed(PLACE, persisted=True))
    search_text: Mapped[str] = mapped_column(Computed(SEARCH_TEXT, persisted=True))
    # NULL where all of it is ASCII, and in what a program of before 0012 wrote.
    search_folded: Mapped[str | None]
    changed_at: Mapped[datetime] = mapped_column(
        default=_now, onupdate=_now, server_default=func.now(), index=True
    )

    # Of a study that was not analysed; what was analysed has its objects with the job.
    objects: Mapped[list["ResultObject"]] = relationship(order_by="ResultObject.id")
    series: Mapped[list["Series"]] = relationship(back_populates="study", order_by="Series.id")

    @validates(*SEARCHED)
    def _fold(self, changed: str, value: str) -> str:
        """Fold what is searched whenever a part of it is set."""
        said = {name: getattr(self, name) or "" for name in SEARCHED} | {changed: value}
        self.search_folded = fold_beyond_ascii(*said.values())
        return value


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
