"""Which files show an analysed series, and what of them a reader may be told."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from schema.database import Database
from schema.errors import PermanentError
from schema.states import JobState
from schema.tables import Instance, Job


class NoImagesError(PermanentError):
    """The images of this series are not here: it was never analysed, or its time is over."""

    status = 410


class ChangedImagesError(PermanentError):
    """The series has other images than those that were analysed."""

    status = 409


@dataclass(frozen=True)
class Images:
    """The files of one analysis.

    Attributes
    ----------
    version
        Changes with every image and every mask: slices of two versions are never mixed.
    segmentation
        What was drawn on it; None where nothing was, or where no Segmentation could be written.
    unmasked_ml
        Of each slice, from below, the blood that was outlined and has no mask for want of one;
        empty where there are masks, or nothing to mask.
    """

    job_id: int
    version: str
    paths: tuple[Path, ...]
    segmentation: Path | None
    unmasked_ml: tuple[float, ...]
    study_instance_uid: str
    patient_id: str

    @property
    def name(self) -> str:
        """What its slices are called in the cache; says nothing of a patient."""
        return f"{self.job_id}-{self.version}"


def find_images(database: Database, storage: Path, job_id: int) -> Images:
    """Find the files that an analysis was made from.

    Raises
    ------
    NoImagesError
        If there was no such analysis, or its images were removed.
    ChangedImagesError
        If more came since, or others in their place.
    """
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.state is not JobState.DONE:
            raise NoImagesError("There is no such analysis.")
        if job.revision != job.series.revision:
            raise ChangedImagesError(
                "More images of this series came after this analysis. What it outlined is not shown"
                " on other images than its own: look at the study in your viewer."
            )
        instances = job.series.analysed_instances()
        if not instances:
            raise NoImagesError(
                "The images were removed when their time was over (TRIAGE_RETENTION_DAYS);"
                " look at them in the archive."
            )
        drawn = next((written for written in job.objects if written.kind == "SEG"), None)
        study = job.series.study
        return Images(
            job_id=job_id,
            version=_version(
                [*(instance.sha256 for instance in instances), drawn.sha256 if drawn else ""]
            ),
            paths=tuple(storage / instance.path for instance in instances),
            segmentation=storage / drawn.path if drawn else None,
            unmasked_ml=() if drawn else _outlined_ml(job),
            study_instance_uid=study.study_instance_uid,
            patient_id=study.patient_id,
        )


def find_key_picture(database: Database, job_id: int) -> bytes:
    """Read the picture that the list shows.

    Raises
    ------
    NoImagesError
        If there is none.
    """
    with database.reading() as session:
        job = session.get(Job, job_id)
        if job is None or job.key_picture is None:
            raise NoImagesError("There is no such picture.")
        return job.key_picture.jpeg


def still_here(session: Session, job_ids: Iterable[int]) -> set[int]:
    """Say of which analyses the images were not removed."""
    kept = sa.select(Instance.id).where(Instance.series_id == Job.series_id).exists()
    return set(session.scalars(sa.select(Job.id).where(Job.id.in_(set(job_ids)), kept)))


def _outlined_ml(job: Job) -> tuple[float, ...]:
    blood_ml = (job.slices or {}).get("blood_ml", ())
    return tuple(blood_ml) if any(blood_ml) else ()


def _version(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
