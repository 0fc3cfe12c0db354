"""One row of the worklist, as the contract in the design names its fields."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from schema.hemorrhage_subtypes import Claim
from schema.monitoring.signs import Part
from schema.states import Outcome, StudyState
from worklist.coverage import Coverage
from worklist.unlikeness import Unlikeness
from worklist.window import LATE, Place


@dataclass(frozen=True)
class FindingRow:
    """What the model says of one subtype, or of `any`; the score is the model's own."""

    subtype: str
    probability: float
    volume_ml: float
    present: bool
    claim: Claim = Claim.REPORTED


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
        Whether the study has no outcome and nothing has moved in it for TRIAGE_STUDY_LATE_S.
    patient_name, patient_birth_date
        For the page alone; never in JSON, a log or a terminal.
    coverage
        How much of the head was seen; None until somebody looked.
    unlike_training
        That the images are unlike what the model was trained on; None where they are not, or where
        nobody can tell.
    unread
        Whether nobody has seen this result.
    key_picture
        The address of a picture of the slice with most blood; None where there is none.
    """

    study_instance_uid: str
    accession_number: str
    patient_id: str
    patient_name: str
    patient_birth_date: str
    patient_sex: str
    study_date: str
    study_time: str
    study_description: str
    station_name: str
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
    coverage: Coverage | None
    unlike_training: Unlikeness | None
    unread: bool
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalated_at: datetime | None
    findings: tuple[FindingRow, ...]
    key_picture: str | None
    objects: tuple[ObjectRow, ...]


@dataclass(frozen=True)
class Worklist:
    """A window of the list, and the time at which the database was read.

    Attributes
    ----------
    after
        Where the next window begins; None if this one is the last.
    unread, unread_critical
        Of the whole list, whatever the window; counted to 1000.
    late, late_after
        How many studies of the whole list are; where nothing moved for so long.
    missing
        Of the parts that fill the list those that do not work: without them it stays empty.
    newest_critical_at
        When the newest critical result that nobody has seen was finished: a sound follows it, since
        a number stays the same where another reader has seen one in the same second.
    """

    read_at: datetime
    entries: tuple[Entry, ...]
    after: Place | None = None
    unread_critical: int = 0
    unread: int = 0
    newest_critical_at: datetime | None = None
    late: int = 0
    late_after: timedelta = LATE
    missing: tuple[Part, ...] = ()
