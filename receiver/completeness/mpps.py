"""Modality Performed Procedure Steps as SCP: begun, updated, ended (PS3.4 section F.7)."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from pydicom.dataset import Dataset
from sqlalchemy import select
from sqlalchemy.orm import Session

from receiver.completeness.announcements import (
    CountSource,
    merged,
    note_contents,
    read_performed_series,
    read_study,
)
from receiver.protocol.identity import require_uid
from receiver.protocol.values import text
from schema.errors import PermanentError
from schema.tables import ProcedureStep


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252); PS3.3 C.4.14."""

    IN_PROGRESS = "IN PROGRESS"
    DISCONTINUED = "DISCONTINUED"
    COMPLETED = "COMPLETED"


FINAL: Final = (StepState.DISCONTINUED, StepState.COMPLETED)


class DuplicateStepError(PermanentError):
    """A procedure step with this UID was begun before."""


class UnknownStepError(PermanentError):
    """No procedure step with this UID was begun here."""


class FinalStepError(PermanentError):
    """The procedure step is completed or discontinued and cannot be changed any more."""


class StepStateError(PermanentError):
    """The status of the procedure step is none that the request may set."""


def begin_step(
    session: Session, sop_instance_uid: str, ae_title: str, ds: Dataset, now: datetime
) -> None:
    """Keep a procedure step that a modality begins (N-CREATE, PS3.4 F.7.2.1).

    Raises
    ------
    DuplicateStepError
        If it was begun before.
    StepStateError
        If it does not begin IN PROGRESS.
    UnreadableObjectError
        If a UID is none.
    """
    require_uid("Affected SOP Instance UID", sop_instance_uid)
    if _state(ds) != StepState.IN_PROGRESS:
        raise StepStateError("a procedure step begins IN PROGRESS")
    if _find(session, sop_instance_uid) is not None:
        raise DuplicateStepError(f"procedure step {sop_instance_uid} was begun before")
    session.add(
        ProcedureStep(
            sop_instance_uid=sop_instance_uid,
            ae_title=ae_title,
            state=StepState.IN_PROGRESS,
            study_instance_uid=read_study(ds),
            contents=dict(read_performed_series(ds)),
            begun_at=now,
        )
    )


def update_step(session: Session, sop_instance_uid: str, ds: Dataset, now: datetime) -> None:
    """Note what a procedure step made; at its end that becomes evidence (N-SET, PS3.4 F.7.2.2).

    Also at a discontinued one: what it lists is all that will come.

    Raises
    ------
    UnknownStepError
        If it was never begun.
    FinalStepError
        If it ended before.
    StepStateError
        If its status is none that PS3.3 C.4.14 knows.
    UnreadableObjectError
        If a UID is none.
    """
    step = _find(session, sop_instance_uid)
    if step is None:
        raise UnknownStepError(f"procedure step {sop_instance_uid} was never begun here")
    if step.state in FINAL:
        raise FinalStepError(f"procedure step {sop_instance_uid} is {step.state}")
    known = {uid: tuple(uids) for uid, uids in step.contents.items()}
    contents = merged((known, read_performed_series(ds)))
    step.state, step.contents = _state(ds) or StepState.IN_PROGRESS, dict(contents)
    if step.state in FINAL:
        note_contents(
            session, CountSource.MPPS, step.ae_title, step.study_instance_uid, contents, now
        )


def _find(session: Session, sop_instance_uid: str) -> ProcedureStep | None:
    query = select(ProcedureStep).where(ProcedureStep.sop_instance_uid == sop_instance_uid)
    return session.scalars(query).one_or_none()


def _state(ds: Dataset) -> StepState | None:
    value = text(ds, "PerformedProcedureStepStatus")
    try:
        return StepState(value) if value else None
    except ValueError as error:
        raise StepStateError(f"{value!r} is no status of a procedure step") from error
