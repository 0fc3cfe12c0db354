"""Remove all that a canary left: rows, received files and results."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from receiver.catalogue.canary_marks import Mark, is_known, read_marks, remove_mark
from receiver.inbox import OBJECT_SUFFIX
from receiver.instance.stored import DIGEST_IN_NAME, study_place
from schema.tables import (
    Delivery,
    Finding,
    IdentityEvent,
    Instance,
    Job,
    KeyPicture,
    ResultObject,
    Series,
    Study,
    StudyEvent,
    Verdict,
)

SHARED_LEVELS: Final = 2  # received/xx: what other studies use, too
UNSYNCHRONISED: Final = {"synchronize_session": False}  # nothing of it is looked at any more


def study_files(study: Study) -> list[str]:
    """List what lies in the storage for a study, received and written."""
    received = [instance.path for series in study.series for instance in series.instances]
    jobs = [job for series in study.series for job in series.jobs]
    written = [each.path for job in jobs for each in job.objects]
    return [*received, *written, *(each.path for each in study.objects)]


def remove_files(storage: Path, paths: Iterable[str]) -> None:
    """Remove files, and the folders of their series and study as they become empty."""
    for path in paths:
        file = storage / path
        file.unlink(missing_ok=True)
        for folder in (file.parent, file.parent.parent):
            if len(folder.relative_to(storage).parts) > SHARED_LEVELS:
                with suppress(OSError):  # not empty, or gone
                    folder.rmdir()


def remove_forgotten(session: Session, storage: Path, before: datetime) -> int:
    """Remove old canaries whose rows are gone, and old marks; return how many had files left."""
    had_files = 0
    for mark in list(read_marks(storage)):
        if mark.sent_at >= before or is_known(session, mark.study_instance_uid):
            continue  # one that has its rows goes with them
        files = _marked_files(storage, mark)
        remove_files(storage, files)
        remove_mark(storage, mark)
        had_files += bool(files)
    return had_files


def _marked_files(storage: Path, mark: Mark) -> list[str]:
    """List what lies in the store of what we sent, by the hash in its name."""
    ours = {digest[:DIGEST_IN_NAME] for digest in mark.digests}
    folder = storage / study_place(mark.study_instance_uid)
    found = (path for path in folder.glob(f"*/*{OBJECT_SUFFIX}"))
    return [
        str(path.relative_to(storage)) for path in found if path.stem.rpartition("-")[2] in ours
    ]


def remove_rows(session: Session, study_id: int) -> None:
    """Remove a study with all that refers to it."""
    series = select(Series.id).where(Series.study_id == study_id)
    jobs = select(Job.id).where(Job.series_id.in_(series))
    for which in (
        delete(Verdict).where(Verdict.study_id == study_id),
        delete(StudyEvent).where(StudyEvent.study_id == study_id),
        delete(IdentityEvent).where(IdentityEvent.study_id == study_id),
        delete(Delivery).where(Delivery.study_id == study_id),
        delete(ResultObject).where(ResultObject.study_id == study_id),
        delete(ResultObject).where(ResultObject.job_id.in_(jobs)),
        delete(KeyPicture).where(KeyPicture.job_id.in_(jobs)),
        delete(Finding).where(Finding.job_id.in_(jobs)),
        delete(Job).where(Job.series_id.in_(series)),
        delete(Instance).where(Instance.series_id.in_(series)),
        delete(Series).where(Series.study_id == study_id),
        delete(Study).where(Study.id == study_id),
    ):
        session.execute(which, execution_options=UNSYNCHRONISED)
