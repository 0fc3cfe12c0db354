"""A receiver whose volume is not mounted says so at its start."""

import uuid
from pathlib import Path

import pytest
import structlog

from receiver.catalogue.new_storage import warn_of_new_storage
from schema.database import Database
from schema.storage import Storage
from schema.tables import Instance
from tests.support.rows import add_series, add_study


def lay(database: Database, storage: uuid.UUID | None) -> None:
    """Let the tables know an image that lies on a storage."""
    with database.transaction() as session:
        series = add_series(add_study(session), session)
        for instance in session.query(Instance).filter_by(series_id=series.id):
            instance.storage = storage


def said(database: Database, path: Path) -> list[str]:
    with structlog.testing.capture_logs() as lines:
        warn_of_new_storage(database, path)
    return [line["event"] for line in lines]


def test_a_folder_that_holds_none_of_the_last_images_is_told_of(
    database: Database, tmp_path: Path
) -> None:
    lay(database, Storage.at(tmp_path / "volume").identity)
    (line,) = said(database, tmp_path / "unmounted")
    assert "is the volume mounted" in line
    assert said(database, tmp_path / "volume") == []


@pytest.mark.parametrize("rows", ["none", "of a release without identities"])
def test_a_first_storage_is_no_news(database: Database, tmp_path: Path, rows: str) -> None:
    if rows != "none":
        lay(database, None)
    assert said(database, tmp_path / "first") == []
