"""Last image to "in PACS": `python tests/benchmarks/delivering.py --studies 30`.

The real parts: receiver, worker with the shipped model, delivery, and Orthanc as the PACS. A sample
is sent so often as a study of its own; times are the database's, by hop.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

import itertools

from pydicom import dcmread
from pydicom.uid import generate_uid
from sqlalchemy import select

from schema.database import Database, connect, upgrade
from schema.settings import Settings
from schema.states import JobState
from schema.tables import Delivery, Job, Series
from tests.support.archives import Orthanc
from tests.support.outbox import Outbox
from tests.support.processes import Site, free_port, wait_for

SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "samples"
HOPS: Final = ("decided on", "claimed", "analysed", "stored", "confirmed", "whole way")
RESULT_HOPS: Final = ("stored", "confirmed", "whole way")
DEADLINE_S: Final = 3600
TOML: Final = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
confirm_s = 1
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1)
    parser.add_argument("--sample", default=None, help="a folder of deploy/samples")
    parser.add_argument(
        "--from-result", action="store_true", help="from the stored result on, without an analysis"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        orthanc = Orthanc(home / "orthanc", free_port())
        orthanc.start()
        try:
            if given.from_result:
                print_table(deliver_results(home, orthanc, given.studies), RESULT_HOPS)
            else:
                studies = copies(pick(given.sample), home / "sent", given.studies)
                print_table(measure(home, orthanc, studies), HOPS)
        finally:
            orthanc.stop()


def pick(name: str | None) -> Path:
    """Choose a sample, the first one that there is by default."""
    folders = sorted(path for path in SAMPLES.iterdir() if path.is_dir())
    return SAMPLES / name if name else folders[0]


def copies(sample: Path, folder: Path, count: int) -> list[list[Path]]:
    """Copy a sample under new UIDs, so often."""
    return [_copy(sample, folder / str(number)) for number in range(count)]


def _copy(sample: Path, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    paths: list[Path] = []
    for source in sorted(path for path in sample.rglob("*") if path.is_file()):
        ds = dcmread(source)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, series, frame
        paths.append(folder / f"{len(paths):04d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def measure(
    home: Path, orthanc: Orthanc, studies: Sequence[Sequence[Path]]
) -> list[tuple[float, ...]]:
    """Run the parts, send the studies one after another, and read the times of each."""
    file = home / "destinations.toml"
    file.write_text(TOML.format(port=orthanc.port))
    settings = Settings(
        _env_file=None,
        home=home / "home",
        dicom_port=free_port(),
        min_free_mb=0,
        destinations=file,
    )
    upgrade(settings)
    site = Site(settings, connect(settings), home / "log")
    try:
        site.start_receiver()
        site.start_worker()
        wait_for("worker", lambda: b"ready." in (home / "log").read_bytes(), DEADLINE_S)
        for paths in studies:
            if any(site.send(paths)):
                raise SystemExit("an object was not accepted")
        return _wait(site.database, len(studies))
    except BaseException:
        sys.stderr.write((home / "log").read_text()[-3000:])
        raise
    finally:
        site.stop()


def _wait(database: Database, count: int) -> list[tuple[float, ...]]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        found = read_times(database)
        if len(found) == count:
            return found
        time.sleep(0.5)
    raise SystemExit("not every study is in the PACS")


def read_times(database: Database) -> list[tuple[float, ...]]:
    """Give the seconds of each hop, of each study that is in the PACS with all its objects."""
    with database.reading() as session:
        jobs = session.scalars(select(Job).join(Series).where(Job.state == JobState.DONE)).all()
        found = []
        for job in jobs:
            rows = session.scalars(select(Delivery).where(Delivery.job_id == job.id)).all()
            committed = [row.committed_at for row in rows if row.committed_at is not None]
            if not rows or len(committed) < len(rows):
                continue
            sent = max(row.sent_at for row in rows if row.sent_at is not None)
            last = job.series.last_instance_at
            found.append(_hops(last, job, sent, max(committed)))
        return found


def _hops(last: datetime, job: Job, sent: datetime, committed: datetime) -> tuple[float, ...]:
    assert job.started_at is not None
    assert job.finished_at is not None
    moments = [last, job.created_at, job.started_at, job.finished_at, sent, committed]
    hops = [(after - before).total_seconds() for before, after in itertools.pairwise(moments)]
    return (*hops, (committed - last).total_seconds())


def deliver_results(home: Path, orthanc: Orthanc, count: int) -> list[tuple[float, ...]]:
    """Store results with all their objects at once, and deliver them as the service does."""
    settings = Settings(_env_file=None, home=home / "home")
    upgrade(settings)
    database = connect(settings)
    box = Outbox.make(settings, database, TOML.format(port=orthanc.port))
    for number in range(count):
        box.add(f"1.2.840.{number}", 1 + number % 4, kinds=("SEG", "SR", "SC", "KO"))
    courier = box.courier("PACS")
    while box.states() != {"COMMITTED"}:
        courier.deliver_due()
    studies: dict[int, list[Delivery]] = {}
    for row in box.rows():
        studies.setdefault(row.study_id, []).append(row)
    return [_result_hops(rows) for rows in studies.values()]


def _result_hops(rows: list[Delivery]) -> tuple[float, ...]:
    stored = max(row.created_at for row in rows)
    sent = max(row.sent_at for row in rows if row.sent_at is not None)
    committed = max(row.committed_at for row in rows if row.committed_at is not None)
    moments = ((stored, sent), (sent, committed), (stored, committed))
    return tuple((after - before).total_seconds() for before, after in moments)


def print_table(found: list[tuple[float, ...]], hops: tuple[str, ...]) -> None:
    """Print p50 and p95 of each hop."""
    print(f"{len(found)} studies, seconds")
    for number, name in enumerate(hops):
        values = sorted(times[number] for times in found)
        p95 = values[min(len(values) - 1, round(0.95 * (len(values) - 1)))]
        print(f"{name:12} p50 {statistics.median(values):8.1f}   p95 {p95:8.1f}")


if __name__ == "__main__":
    main()
