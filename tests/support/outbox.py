"""Studies with results on disk and rows in the outbox, without an analysis for each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from sqlalchemy import select

from schema.database import Database
from schema.settings import Settings
from schema.states import DeliveryState, Outcome
from schema.storage import MARK
from schema.tables import Delivery, ResultObject
from tests.support.phantoms import Phantom
from tests.support.rows import add_job, add_series, add_study, done
from tests.support.statements import write_all
from worker.delivery.destinations import Destinations, load_destinations
from worker.delivery.outbox import enqueue_job
from worker.delivery.service import Courier, make_sender
from worker.objects.author import WrittenObject
from worker.slices import read_series


@cache
def _template() -> tuple[TemporaryDirectory[str], Sequence[WrittenObject]]:
    """Write the objects of one phantom, once for all tests; the folder goes with the process."""
    folder = TemporaryDirectory()
    series = read_series(Phantom((-5.0, 0.0)).write(Path(folder.name) / "phantom"))
    return folder, write_all(series, Path(folder.name) / "out").objects


@dataclass
class Outbox:
    """A database with results, and the couriers of its destinations."""

    settings: Settings
    database: Database
    places: Destinations
    written: Sequence[WrittenObject]

    @classmethod
    def make(cls, settings: Settings, database: Database, toml: str) -> "Outbox":
        """Read a file of destinations."""
        settings.home.mkdir(parents=True, exist_ok=True)
        (settings.storage / MARK).mkdir(parents=True, exist_ok=True)
        path = settings.home / "destinations.toml"
        path.write_text(toml)
        return cls(settings, database, load_destinations(path), _template()[1])

    def add(self, uid: str, level: int = 1, kinds: Sequence[str] = ("SEG", "SR", "KO")) -> int:
        """Add a study that was analysed, with objects of its own; return its job."""
        with self.database.transaction() as session:
            study = add_study(session, uid)
            values = done(Outcome.POSITIVE, level, rule_version="2", model="threshold")
            job = add_job(add_series(study, session), session, **values)
            job.objects = [
                self._object(written, uid) for written in self.written if written.kind in kinds
            ]
            enqueue_job(session, job, self.places)
            return job.id

    def _object(self, written: WrittenObject, study: str) -> ResultObject:
        """Copy an object to another study."""
        ds = dcmread(written.path)
        uid = f"{study}.{int(written.sha256[:12], 16)}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{uid}.1"
        name = f"results/{uid}.dcm"
        path = self.settings.storage / name
        path.parent.mkdir(parents=True, exist_ok=True)
        ds.save_as(path, enforce_file_format=True)
        return ResultObject(
            kind=written.kind,
            sop_instance_uid=uid,
            path=name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            audience=written.audience,
        )

    def courier(self, name: str) -> Courier:
        """Make the courier of a destination."""
        target = self.places.named(name)
        return Courier(target, self.database, make_sender(target, self.database, self.settings))

    def rows(self, *states: DeliveryState) -> list[Delivery]:
        """Read the outbox."""
        with self.database.reading() as session:
            query = select(Delivery).order_by(Delivery.id)
            if states:
                query = query.where(Delivery.state.in_(states))
            return list(session.scalars(query))

    def states(self) -> set[str]:
        """Give the states that occur."""
        return {row.state.value for row in self.rows()}
