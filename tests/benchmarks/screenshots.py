"""The pictures of the page in docs/: real heads, read by the shipped model, under invented names.

`python -m tests.benchmarks.screenshots [--home FOLDER]`: heads of deploy/samples, and of CT-ICH
where its folder is (see tests/support/heads.py). A home that was read before is used again.
"""

import argparse
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pydicom import dcmread
from pydicom.uid import generate_uid

from schema.database import Database, open_database, upgrade
from schema.settings import Settings
from schema.states import Outcome, SeriesState, StudyState
from schema.tables import Job, Study
from tests.support.browsers import CHROMIUM, FLAGS, WIDE, serve, visit
from tests.support.heads import SHARED, ctich
from tests.support.readings import read_study, sample
from tests.support.rows import add_job, add_series, add_study, done, show_life
from worker.engine import SHIPPED_MODEL
from worker.munet.inference import Predictor

DOCS = Path(__file__).parents[2] / "docs"
SAMPLES = ("bleed", "ge-tilted", "healthy")
PATIENTS = (71, 76, 81, 75)  # of CT-ICH: subdural, intraparenchymal, subdural, epidural
NAMES = (
    "Ash^Ada", "Birch^Ben", "Cedar^Cleo", "Elm^Edgar", "Fir^Flora", "Hazel^Hugo", "Larch^Lena",
    "Maple^Milo", "Oak^Olga", "Pine^Paul", "Rowan^Rita", "Spruce^Sam", "Willow^Wanda", "Yew^Yuri",
    "Alder^Amy", "Beech^Bo",
)  # fmt: skip
OTHERS: tuple[tuple[Outcome | None, int, str], ...] = (
    (Outcome.NEGATIVE, 4, "no hemorrhage found"),
    (Outcome.NOT_ANALYSED, 0, "No plain head CT among 3 series: CTA head with contrast agent"),
    (None, 0, ""),
    (Outcome.NEGATIVE, 4, "no hemorrhage found"),
    (Outcome.INDETERMINATE, 3, "72 % of the head was seen, the vertex was not"),
    (Outcome.NEGATIVE, 4, "no hemorrhage found"),
    (Outcome.NEGATIVE, 4, "no hemorrhage found"),
    (Outcome.FAILED, 0, "A file of this series is missing from the storage; send the study again"),
    (Outcome.NEGATIVE, 4, "no hemorrhage found"),
)


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="kept for the next time; else a temporary one")
    home = parser.parse_args().home or Path(tempfile.mkdtemp())
    settings = Settings(_env_file=None, home=home)
    is_new = not home.exists() or not any(home.iterdir())
    upgrade(settings)
    database = open_database(settings)
    if is_new:
        read_all(settings, database)
        add_others(database)
    give_names(database)
    show_life(database)
    shown = first_read(database)
    given = {"TRIAGE_VIEWER_URL": "https://pacs.example/ohif/viewer?StudyInstanceUIDs={study}"}
    with serve(settings, given) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        take(browser, address, f"study/{shown}#viewer")
        browser.close()


def read_all(settings: Settings, database: Database) -> None:
    """Have the shipped model read every head."""
    predictor = Predictor(SHIPPED_MODEL, "cpu")
    for name in SAMPLES:
        print("reading", name, flush=True)
        read_study(settings, database, sample(name), predictor, datetime.now(UTC))
    with tempfile.TemporaryDirectory() as folder:
        for patient in PATIENTS if (SHARED / "ct-ich").is_dir() else ():
            print("reading CT-ICH", patient, flush=True)
            paths = list(write(patient, Path(folder) / str(patient)))
            read_study(settings, database, paths, predictor, datetime.now(UTC))


def write(patient: int, folder: Path) -> Iterator[Path]:
    """Write a patient of CT-ICH as a scanner would."""
    head, ds = ctich(patient), dcmread(sample("bleed")[0])
    folder.mkdir()
    ds.decompress()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.FrameOfReferenceUID = generate_uid()
    ds.Rows, ds.Columns = head.hu.shape[1:]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelSpacing, ds.RescaleSlope, ds.RescaleIntercept = list(head.spacing_mm), 1, 0
    for index, (hu, place_mm) in enumerate(zip(head.hu, head.slice_position_mm, strict=True)):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber = index + 1
        ds.ImagePositionPatient = [-100, -100, float(place_mm)]
        ds.PixelData = np.rint(hu).astype("<i2").tobytes()
        path = folder / f"{index}.dcm"
        ds.save_as(path, enforce_file_format=True)
        yield path


def add_others(database: Database) -> None:
    """Add what a list has beside bleeds, as rows alone."""
    with database.transaction() as session:
        for number, (outcome, level, reason) in enumerate(OTHERS):
            study = add_study(session, f"1.2.840.99.{number}")
            series = add_series(study, session, state=SeriesState.SELECTED)
            if outcome is None:
                add_job(series, session)
                continue
            values: dict[str, Any] = done(outcome, level, reason=reason, priority_reason=reason)
            add_job(series, session, **values)


def give_names(database: Database) -> None:
    """Give every study a name that belongs to a tree, and a time within the last hours."""
    now = datetime.now(UTC)
    with database.transaction() as session:
        for number, study in enumerate(session.scalars(sa.select(Study).order_by(Study.id))):
            study.patient_name, study.patient_id = NAMES[number], f"EX-{4100 + 37 * number}"
            study.accession_number = f"CT26-{90213 + number}"
            study.patient_birth_date = f"19{40 + 3 * number}0{1 + number % 9}14"
            study.patient_sex, study.station_name = "FM"[number % 2], f"CT{1 + number % 3}"
            study.study_description = "CT HEAD WITHOUT CONTRAST"
            begun = now - timedelta(minutes=4 + 13 * number)
            study.received_at = begun
            study.study_date, study.study_time = begun.strftime("%Y%m%d"), begun.strftime("%H%M%S")
            for series in study.series:
                series.description = "HEAD 5.0 H31s"
                series.first_instance_at, series.last_instance_at = begun, begun + SECOND * 14
                for job in series.jobs:
                    job.created_at = begun + SECOND * 19
                    if study.state is StudyState.DONE:
                        job.started_at, job.finished_at = begun + SECOND * 20, begun + SECOND * 31
            if study.state is StudyState.DONE:
                study.ready_at, study.finished_at = begun + SECOND * 19, begun + SECOND * 31
                called_out = study.priority == 1  # seen by nobody for a quarter of an hour
                study.escalated_at = begun + SECOND * 931 if called_out else None


SECOND = timedelta(seconds=1)


def first_read(database: Database) -> str:
    """Give the study of the sample bleed, which everybody has."""
    with database.reading() as session:
        job = session.scalars(sa.select(Job).order_by(Job.id)).first()
        assert job is not None
        return job.series.study.study_instance_uid


def take(browser: Browser, address: str, study: str) -> None:
    """Take every picture."""
    phone = {"width": 390, "height": 844}
    for name, path, size, scheme in (
        ("worklist.png", "", WIDE, "light"),
        ("worklist-dark.png", "", WIDE, "dark"),
        ("worklist-phone.png", "", phone, "light"),
        ("study.png", study, WIDE, "light"),
        ("study-phone.png", study, phone, "light"),
    ):
        with visit(browser, address + path, viewport=size, color_scheme=scheme) as page:
            settle(page, bool(path))
            taken = Image.open(BytesIO(page.screenshot())).convert("RGB")
            # Not by the median: two types that are little of a picture had one colour.
            few = taken.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(DOCS / name, optimize=True)
            print(DOCS / name)


def settle(page: Page, has_images: bool) -> None:
    """Wait until everything that is shown is there."""
    if has_images:
        page.locator("#canvas:not([data-shown=''])[data-shown]").wait_for()
    page.evaluate("""Promise.all([...document.images]
        .filter(image => !image.complete && image.getBoundingClientRect().top < innerHeight)
        .map(image => new Promise(done => { image.onload = done; })))""")


if __name__ == "__main__":
    main()
