"""A row of the worklist, for tests that change one thing about it."""

from datetime import UTC, datetime

from schema.states import Outcome, StudyState
from worklist.entries import Entry

EIGHT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ENTRY = Entry(
    study_instance_uid="1.2.3",
    accession_number="A1",
    patient_id="049",
    patient_name="DOE^JANE",
    patient_birth_date="19510203",
    patient_sex="F",
    study_date="20260301",
    study_time="075500",
    study_description="Head",
    station_name="CT1",
    state=StudyState.DONE,
    outcome=Outcome.NEGATIVE,
    earlier_outcome=None,
    reason=None,
    priority=4,
    priority_reason=None,
    received_at=EIGHT,
    ready_at=None,
    finished_at=None,
    age_s=0,
    late=False,
    model=None,
    revision=1,
    coverage=None,
    unlike_training=None,
    unread=True,
    acknowledged_at=None,
    acknowledged_by=None,
    escalated_at=None,
    findings=(),
    key_picture=None,
    objects=(),
)
