"""Retention on real rows and files: what was analysed goes, what was not stays."""

import uuid
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from receiver.catalogue.intake import Catalogue
from receiver.catalogue.retention import Retention
from receiver.instance.stored import STORE
from schema.database import Database
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState
from schema.storage import Storage
from schema.tables import Instance, Series, Study
from tests.support.phantoms import FEW_MM, Phantom
from tests.support.receivers import acceptors, send
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, done

NOT_DONE = {"state": JobState.FAILED, "reason": "unreadable"}


def add_stored_series(database: Database, storage: Path, uid: str, **job: object) -> Path:
    """Add a study of one series with a file and a job."""
    with database.transaction() as session:
        series = add_series(add_study(session, uid), session)
        path = storage / series.instances[0].path
        add_job(series, session, **job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"pixels")
    return path


def retention(settings: Settings, database: Database, days: float | None = 1) -> Retention:
    return Retention(settings.model_copy(update={"retention_days": days}), database)


def test_an_analysed_studys_files_go_with_their_rows_and_its_series_stays(
    settings: Settings, database: Database
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    assert retention(settings, database).sweep() == 1
    assert not path.exists()
    with database.reading() as session:
        assert session.scalars(select(Instance)).all() == []
        assert session.scalars(select(Series)).one().removed_instances == 1
    assert retention(settings, database).sweep() == 0


@pytest.mark.parametrize(
    "job",
    [
        {},
        NOT_DONE | {"outcome": Outcome.FAILED},
        NOT_DONE | {"outcome": Outcome.NOT_ANALYSED},
    ],
)
def test_what_was_not_analysed_keeps_its_files(
    settings: Settings, database: Database, job: dict[str, object]
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **job)
    assert retention(settings, database).sweep() == 0
    assert path.exists()


def test_a_failed_series_beside_an_analysed_one_keeps_its_files(
    settings: Settings, database: Database
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    with database.transaction() as session:
        study = session.scalars(select(Series)).one().study
        add_job(add_series(study, session), session, **NOT_DONE, outcome=Outcome.FAILED)
    assert retention(settings, database).sweep() == 1
    assert not path.exists()
    with database.reading() as session:
        kept = session.scalars(select(Instance)).all()
    assert len(kept) == 1


def test_a_head_that_was_refused_beside_an_analysed_one_keeps_its_files(
    settings: Settings, database: Database
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    with database.transaction() as session:
        study = session.scalars(select(Series)).one().study
        for reason in ("several images at one position", "image type LOCALIZER"):
            add_series(study, session, None, state=SeriesState.REJECTED, reason=reason)
    assert retention(settings, database).sweep() == 2
    assert not path.exists()
    with database.reading() as session:
        (kept,) = session.scalars(select(Instance)).all()
        assert kept.series.reason == "several images at one position"


def test_while_two_patients_are_mixed_up_every_file_is_kept(
    settings: Settings, database: Database
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    with database.transaction() as session:
        session.scalars(select(Study)).one().identity_alert = "they are kept"
    assert retention(settings, database).sweep() == 0
    assert path.exists()
    with database.transaction() as session:
        session.scalars(select(Study)).one().identity_alert = None
    assert retention(settings, database).sweep() == 1


def test_files_on_another_storage_are_left_to_its_receivers(
    settings: Settings, database: Database
) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    elsewhere = settings.model_copy(update={"storage_dir": settings.home / "other"})
    with database.transaction() as session:
        session.scalars(select(Instance)).one().storage = Storage.at(settings.storage).identity
    assert retention(elsewhere, database).sweep() == 0
    assert path.exists()
    assert retention(settings, database).sweep() == 1
    assert not path.exists()


def test_studies_with_files_elsewhere_hold_up_no_other(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.catalogue.retention.STUDIES_A_SWEEP", 1)
    add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    with database.transaction() as session:
        session.scalars(select(Instance)).one().storage = uuid.uuid4()
    add_stored_series(
        database,
        settings.storage,
        "1.3",
        **done(Outcome.POSITIVE, 1) | {"finished_at": LONG_AGO + timedelta(seconds=1)},
    )
    sweeping = retention(settings, database)
    assert [sweeping.sweep() for _ in range(2)] == [0, 1]


def test_it_is_off_by_default(settings: Settings, database: Database) -> None:
    path = add_stored_series(database, settings.storage, "1.2", **done(Outcome.POSITIVE, 1))
    assert settings.retention_days is None
    assert Retention(settings, database).sweep() == 0
    assert path.exists()


def test_what_is_sent_again_is_stored_again(settings: Settings, database: Database) -> None:
    catalogue, datasets = Catalogue(database, settings.storage), Phantom(FEW_MM).datasets
    with acceptors(settings.home) as ports:
        send(ports["plain"], datasets)
        catalogue.take_in()
        with database.transaction() as session:
            series = session.scalars(select(Series)).one()
            series.state = SeriesState.SELECTED
            add_job(series, session, **done(Outcome.NEGATIVE, 4))
        assert retention(settings, database).sweep() == len(datasets)
        send(ports["plain"], datasets)
    catalogue.take_in()
    with database.reading() as session:
        rows = session.scalars(select(Instance)).all()
    assert len(rows) == len(datasets)
    assert all((settings.storage / row.path).exists() for row in rows)
    assert len(list((settings.storage / STORE).rglob("*.dcm"))) == len(datasets)
