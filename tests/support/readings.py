"""Studies as receiver and worker leave them: images in the storage, a result, its objects."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydicom import dcmread

from schema.database import Database
from schema.settings import Settings
from schema.states import SeriesState, StudyState
from schema.tables import Instance, Series, Study
from tests.support.phantoms import ThresholdPredictor
from tests.support.rows import LONG_AGO, add_job
from worker.analysis import analyse
from worker.lease import claim
from worker.munet.inference import Predictor
from worker.results import record
from worker.rules import load_rules

SAMPLES = Path(__file__).parents[2] / "deploy" / "samples"


def sample(name: str) -> list[Path]:
    """Give the files of a real head of `deploy/samples`."""
    return sorted((SAMPLES / name).glob("*.dcm"))


def read_study(
    settings: Settings,
    database: Database,
    paths: Sequence[Path],
    predictor: Predictor | None = None,
    received_at: datetime = LONG_AGO,
) -> str:
    """Store a series, analyse it and record what was found; return its Study Instance UID."""
    job_id, stored = _catalogue(settings, database, paths, received_at)
    lease = claim(database, job_id, settings)
    assert lease is not None
    results = settings.storage / "results"
    analysis = analyse(stored, predictor or ThresholdPredictor(), load_rules(), results)
    record(database, lease, analysis, settings.storage)
    return str(dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def _catalogue(
    settings: Settings, database: Database, paths: Sequence[Path], received_at: datetime
) -> tuple[int, list[Path]]:
    with database.transaction() as session:
        first = dcmread(paths[0], stop_before_pixels=True)
        study = Study(
            study_instance_uid=str(first.StudyInstanceUID),
            patient_id=str(first.get("PatientID", "")),
            patient_name=str(first.get("PatientName", "")),
            accession_number=str(first.get("AccessionNumber", "")),
            study_date=str(first.get("StudyDate", "")),
            study_description=str(first.get("StudyDescription", "")),
            received_at=received_at,
            state=StudyState.RECEIVING,
        )
        series = Series(
            study=study,
            series_instance_uid=str(first.SeriesInstanceUID),
            modality="CT",
            description=str(first.get("SeriesDescription", "")),
            first_instance_at=received_at,
            last_instance_at=received_at,
            state=SeriesState.SELECTED,
            score=10.0,
            revision=1,
        )
        session.add(series)
        session.flush()
        stored = [_store(settings, series, path, received_at) for path in paths]
        return add_job(series, session).id, stored


def _store(settings: Settings, series: Series, path: Path, received_at: datetime) -> Path:
    ds = dcmread(path, stop_before_pixels=True)
    place = Path("received") / f"{len(series.instances)}-{series.id}.dcm"
    kept = settings.storage / place
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, kept)
    series.instances.append(
        Instance(
            sop_instance_uid=str(ds.SOPInstanceUID),
            sop_class_uid=str(ds.SOPClassUID),
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            path=str(place),
            size_bytes=kept.stat().st_size,
            sha256="0" * 64,
            received_at=received_at,
        )
    )
    return kept
