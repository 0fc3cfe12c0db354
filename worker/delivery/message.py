"""What a message says of a result: read when it is sent, so that it is never out of date."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from schema.database import Database
from schema.deciding_job import SUSPICIOUS, shown_job
from schema.errors import TransientError
from schema.hemorrhage_subtypes import ANY, SUBTYPES, Claim
from schema.reason_words import PART_SEEN
from schema.states import DeliveryState, Level, Outcome, urgency
from schema.tables import Delivery, Finding, Job, Study
from worker.delivery.claims import may_go
from worker.delivery.outbox import has_ended
from worker.wording import type_words

NAMES: Final = {ANY: "Any intracranial hemorrhage"} | {
    subtype.key: subtype.name for subtype in SUBTYPES
}


class StudyOpenError(TransientError):
    """More of the study came after its message was claimed; it waits for the study's end."""


@dataclass(frozen=True)
class Found:
    """One type, or any."""

    subtype: str
    name: str
    present: bool
    probability: float
    volume_ml: float
    claim: Claim

    @property
    def said(self) -> str:
        """Its name, as a hint where the model can say no more."""
        return type_words(self.name, self.claim, self.present)


@dataclass(frozen=True)
class Message:
    """A result, with as much of the patient as an order needs.

    Attributes
    ----------
    key
        The same for every try of the same message.
    event
        RESULT, or what else happened to the study: UNREAD_CRITICAL.
    level
        The study's priority; never less urgent than what the destination was told before.
    objects
        Kind and SOP Instance UID of each object.
    """

    key: str
    event: str
    study_instance_uid: str
    accession_number: str
    patient_id: str
    outcome: Outcome
    level: int
    reason: str
    rule_version: str
    model: str
    revision: int
    finished_at: datetime
    coverage: Mapping[str, Any] | None
    findings: tuple[Found, ...]
    objects: tuple[tuple[str, str], ...]


def read_message(database: Database, delivery_id: int) -> Message:
    """Read what is to be said of the study that a row belongs to.

    Raises
    ------
    StudyOpenError
        It may not go any more.
    """
    with database.reading() as session:
        row = session.get_one(Delivery, delivery_id)
        message = _message(session, row, row.study, _standing_job(row.study))
        # Asked last: before it the study might open between the two.
        if not session.scalar(select(may_go()).where(Delivery.id == row.id)):
            raise StudyOpenError("more images came: it waits for the end of its study")
        return message


def _standing_job(study: Study) -> Job | None:
    """Give the job that is shown; before the study has ended only where it suspects something."""
    job = shown_job(study.series)
    stands = has_ended(study) or (job is not None and job.outcome in SUSPICIOUS)
    return job if stands else None


def _outcome(study: Study, job: Job | None) -> Outcome:
    ended = study.outcome if has_ended(study) else None
    # Uncertain: what moved it up is in earlier images, and others are still to come.
    outcome = (job.outcome if job else ended) or Outcome.INDETERMINATE
    # So it is where they came and are clean: "none found" would take the suspicion for an error.
    conflicts = outcome is Outcome.NEGATIVE and _was_suspected(study)
    return Outcome.INDETERMINATE if conflicts else outcome


def _was_suspected(study: Study) -> bool:
    """Say that something moved the study up, and not for a part of a head that came first."""
    is_part = PART_SEEN in (study.priority_reason or "")
    return urgency(study.priority) < Level.NONE_FOUND and not is_part


def _reason(study: Study, job: Job | None) -> str:
    """Say why, and where its newest images do not show it, what was suspected in earlier ones."""
    rule = (job or study).priority_reason or ""
    if not has_ended(study):
        return rule
    # Of a study that is done, also what its other series and its identity add.
    reason = study.reason or rule
    if study.outcome in SUSPICIOUS or not _was_suspected(study):
        return reason
    conflict = "conflicting results, " if study.outcome is Outcome.NEGATIVE else ""
    return f"{conflict}suspicion in earlier images: {study.priority_reason}; {reason}"


def _message(session: Session, row: Delivery, study: Study, job: Job | None) -> Message:
    analysed = job if job is not None and job.findings else None
    return Message(
        key=row.key,
        event=row.event,
        study_instance_uid=study.study_instance_uid,
        accession_number=study.accession_number,
        patient_id=study.patient_id,
        outcome=_outcome(study, job),
        level=_level(session, row, study),
        reason=_reason(study, job),
        rule_version=(job.rule_version if job else None) or "",
        model=(analysed.model if analysed else None) or "",
        revision=study.revision,
        finished_at=(job.finished_at if job else study.finished_at) or row.created_at,
        coverage=job.coverage if job else None,  # the study has none while a series is open
        findings=tuple(_found(finding) for finding in analysed.findings) if analysed else (),
        objects=tuple((written.kind, written.sop_instance_uid) for written in analysed.objects)
        if analysed
        else (),
    )


def _level(session: Session, row: Delivery, study: Study) -> int:
    """Give the most urgent of now and of what this destination was told: an order never sinks."""
    told: Sequence[int] = session.scalars(
        select(func.min(Delivery.priority)).where(
            Delivery.destination == row.destination,
            Delivery.study_id == row.study_id,
            Delivery.state == DeliveryState.DELIVERED,
            Delivery.priority.in_((1, 2, 3)),
        )
    ).all()
    return min([study.priority, row.priority, *(level for level in told if level)], key=urgency)


def _found(finding: Finding) -> Found:
    return Found(
        finding.subtype,
        NAMES[finding.subtype],
        finding.present,
        finding.probability,
        finding.volume_ml,
        finding.claim,
    )


def told_apart(message: Message) -> tuple[Found, ...]:
    """Give any hemorrhage and the types that the model may name."""
    return tuple(
        finding for finding in message.findings if finding.claim is not Claim.NOT_TOLD_APART
    )
