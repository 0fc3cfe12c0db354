"""Why a study got its outcome: every series, every job, and what decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schema.identity import IdentityChange
from schema.states import DeliveryState, JobState, Outcome, SeriesState
from worklist.entries import Entry, FindingRow, ObjectRow


@dataclass(frozen=True)
class Resent:
    """An instance that arrived again with other content; every version is kept."""

    sop_instance_uid: str
    versions: int


@dataclass(frozen=True)
class Announced:
    """How many instances somebody says a series has: C-FIND, MPPS or IAN, and whose."""

    source: str
    ae_title: str
    instances: int
    announced_at: datetime


@dataclass(frozen=True)
class LeftOut:
    """Instances that the analysis of their series does not use, and why."""

    instances: int
    reason: str


@dataclass(frozen=True)
class DeliveryAccount:
    """One thing for one destination.

    Attributes
    ----------
    what
        SEG, SR, SC or KO; `message` for what goes to a RIS, FHIR or a webhook.
    committed_at
        When the destination said that it keeps it.
    """

    destination: str
    what: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    sent_at: datetime | None
    committed_at: datetime | None
    last_error: str | None


@dataclass(frozen=True)
class QueueAccount:
    """The place of a job in the queue, and why.

    Attributes
    ----------
    place, length
        It is taken as this one of so many, as things stand; None of a job that does not wait.
    weight, reasons, version
        Its points, what each are for, and by which version of the order; more points go first.
    overdue_at
        From when on it takes turns with more urgent ones; None of a job that no order weighed.
    """

    place: int | None
    length: int | None
    weight: float
    reasons: tuple[str, ...]
    version: str | None
    overdue_at: datetime | None


@dataclass(frozen=True)
class JobAccount:
    """One analysis of one revision of a series.

    Attributes
    ----------
    shown
        Whether this job decided what the worklist shows.
    measured, timings_s
        The values that decided, and seconds by step, as the worker stored them.
    slices
        Of each slice, from below: `position_mm`, `probability` of any blood and `blood_ml`; and
        `gaps`, the slices above which one is missing. Empty for results that hold none.
    look
        What the images themselves show.
    """

    id: int
    revision: int
    state: JobState
    shown: bool
    attempts: int
    owner: str | None
    lease_until: datetime | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    outcome: Outcome | None
    reason: str | None
    priority: int
    priority_reason: str | None
    rule_version: str | None
    measured: dict[str, Any]
    look: dict[str, Any]
    timings_s: dict[str, Any]
    model: str | None
    model_sha256: str | None
    findings: tuple[FindingRow, ...]
    queue: QueueAccount
    slices: dict[str, Any]
    objects: tuple[ObjectRow, ...]


@dataclass(frozen=True)
class SeriesAccount:
    """One series: its score, or the reason for its rejection.

    Attributes
    ----------
    completed_by
        Why it was decided on when it was; None while it is waited for.
    cut_short
        Whether its sender aborted the association, and no count says that all of it is here.
    selection_version
        The version of the rules that gave the score or the reason.
    instances
        Different SOP instances; a re-sent one counts once.
    resent
        The instances that came again with other content.
    left_out
        What the analysis does not use.
    announced
        What others say that it holds.
    removed_instances
        How many were removed when their time was over; they are not in `instances`.
    """

    series_instance_uid: str
    modality: str
    description: str
    series_number: int | None
    state: SeriesState
    completed_by: str | None
    cut_short: bool
    score: float | None
    reason: str | None
    selection_version: str | None
    revision: int
    instances: int
    resent: tuple[Resent, ...]
    left_out: tuple[LeftOut, ...]
    announced: tuple[Announced, ...]
    removed_instances: int
    first_instance_at: datetime
    last_instance_at: datetime
    jobs: tuple[JobAccount, ...]


@dataclass(frozen=True)
class IdentityAccount:
    """A second identity that came under the study, and what was made of it.

    Attributes
    ----------
    differs
        Which attributes of the patient.
    earlier_patient_id, later_patient_id
        What was known, and what came; names and birth dates stay in the database.
    series_instance_uid
        Where it was first seen.
    resolved_at
        When a mismatch was none any more.
    """

    kind: IdentityChange
    differs: str
    earlier_patient_id: str
    later_patient_id: str
    series_instance_uid: str
    noted_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True)
class Explanation:
    """A study's row on the worklist and all that led to it.

    Attributes
    ----------
    ready_after_s, finished_after_s
        Seconds from the first image; None until then.
    identities
        Second identities that came under it, the first one first.
    """

    read_at: datetime
    entry: Entry
    ready_after_s: float | None
    finished_after_s: float | None
    identities: tuple[IdentityAccount, ...]
    series: tuple[SeriesAccount, ...]
    deliveries: tuple[DeliveryAccount, ...]
