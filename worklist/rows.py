"""Rows of the database made into entries."""

from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

from schema.deciding_job import shown_job
from schema.hemorrhage_subtypes import ANY, KEYS
from schema.states import JobState, Level, StudyState
from schema.tables import Job, ResultObject, Study
from worklist.coverage import make_coverage
from worklist.entries import Entry, FindingRow, ObjectRow
from worklist.unlikeness import make_unlikeness

SUBTYPE_ORDER = (ANY, *KEYS)


def make_entry(study: Study, now: datetime, storage: Path, late: AbstractSet[str]) -> Entry:
    """Make the row of one study whose series, jobs, findings and objects are loaded.

    A study that is analysed again shows no outcome, and no "none found" of the earlier revision;
    a level that moved it up stays. `late` are the UIDs of studies in which nothing moves.
    """
    done = study.state is StudyState.DONE
    sinking = not done and study.priority == Level.NONE_FOUND
    job = shown_job(study.series)
    return Entry(
        study_instance_uid=study.study_instance_uid,
        accession_number=study.accession_number,
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        patient_birth_date=study.patient_birth_date,
        patient_sex=study.patient_sex,
        study_date=study.study_date,
        study_time=study.study_time,
        study_description=study.study_description,
        station_name=study.station_name,
        state=study.state,
        outcome=study.outcome if done else None,
        earlier_outcome=job.outcome if job and not done else None,
        reason=study.reason,
        priority=Level.NOT_ANALYSED if sinking else study.priority,
        priority_reason=None if sinking else study.priority_reason,
        received_at=study.received_at,
        ready_at=study.ready_at,
        finished_at=study.finished_at,
        age_s=(now - study.received_at).total_seconds(),
        late=study.study_instance_uid in late,
        model=study.model,
        revision=study.revision,
        coverage=make_coverage(study.coverage) if done else None,
        unlike_training=make_unlikeness(job.look) if job and done else None,
        unread=study.unread,
        acknowledged_at=study.acknowledged_at,
        acknowledged_by=study.acknowledged_by,
        escalated_at=_called_out_at(study),
        findings=make_findings(job),
        key_picture=f"/api/job/{job.id}/key-picture" if job and job.key_picture else None,
        objects=_shown_objects(study, job, storage),
    )


def _called_out_at(study: Study) -> datetime | None:
    """Give when nobody had seen the critical result for too long; None once somebody has."""
    called_at, seen_at = study.escalated_at, study.acknowledged_at
    if called_at is None or (seen_at is not None and seen_at >= called_at):
        return None
    return called_at


def make_findings(job: Job | None) -> tuple[FindingRow, ...]:
    """List what a finished job says, in the order of the contract: any, then the five types."""
    if job is None or job.state is not JobState.DONE:
        return ()
    rows = [
        FindingRow(
            finding.subtype, finding.probability, finding.volume_ml, finding.present, finding.claim
        )
        for finding in job.findings
    ]
    return tuple(sorted(rows, key=lambda row: SUBTYPE_ORDER.index(row.subtype)))


def make_objects(job: Job | None, storage: Path) -> tuple[ObjectRow, ...]:
    """List the objects of a finished job with their absolute paths."""
    if job is None or job.state is not JobState.DONE:
        return ()
    return tuple(_object(written, storage) for written in job.objects)


def _shown_objects(study: Study, job: Job | None, storage: Path) -> tuple[ObjectRow, ...]:
    """List the objects of what the row shows: of the job, or that nothing was analysed."""
    analysed = make_objects(job, storage)
    unanalysed = [written for written in study.objects if written.study_revision == study.revision]
    return analysed or tuple(_object(written, storage) for written in unanalysed)


def _object(written: ResultObject, storage: Path) -> ObjectRow:
    delivered = {delivery.destination: delivery.state.value for delivery in written.deliveries}
    return ObjectRow(written.kind, written.sop_instance_uid, storage / written.path, delivered)
