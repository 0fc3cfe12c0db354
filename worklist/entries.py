"""One row of the worklist, as the contract in the design names its fields."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from schema.states import Outcome, StudyState

LATE_AFTER_S = 600  # as long as a series may take to arrive; an analysis takes a minute


@dataclass(frozen=True)
class FindingRow:
    """What the model says of one subtype, or of `any`; the score is the model's own."""

    subtype: str
    probability: float
    volume_ml: float
    present: bool


@dataclass(frozen=True)
class ObjectRow:
    """A DICOM object that was written for the study, and where it was delivered."""

    kind: str
    sop_instance_uid: str
    path: Path
    delivered: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A study on the worklist.

    Attributes
    ----------
    outcome
        None until the study is done, also while it is analysed again.
    earlier_outcome
        What the images so far ended with, while the study is not done.
    priority
        1 critical, 2 high, 3 review, 4 none found, 0 not analysed or not yet done.
    age_s
        Seconds since the first image arrived.
    late
        Whether the study waits for its outcome longer than `LATE_AFTER_S`.
    patient_name
        For the page alone; never in JSON, a log or a terminal.
    """

    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    study_date: str
    study_description: str
    state: StudyState
    outcome: Outcome | None
    earlier_outcome: Outcome | None
    reason: str | None
    priority: int
    priority_reason: str | None
    received_at: datetime
    ready_at: datetime | None
    finished_at: datetime | None
    age_s: float
    late: bool
    model: str | None
    revision: int
    findings: tuple[FindingRow, ...]
    objects: tuple[ObjectRow, ...]


@dataclass(frozen=True)
class Worklist:
    """All studies, most urgent first, and the time at which the database was read."""

    read_at: datetime
    entries: tuple[Entry, ...]
