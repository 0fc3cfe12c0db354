"""What identifies a patient stays in the objects and the database: no log, no name, no message."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.broker import client
from schema.database import Database
from schema.settings import Settings
from schema.states import StudyState
from schema.tables import Study
from tests.support.phantoms import Phantom, element, write
from tests.support.processes import Site, free_port, wait_for

pytestmark = pytest.mark.slow  # starts a whole system

SECRETS = ("Quillfeather", "ZZ-4711", "ACC-0815", "Dorothea")
IDENTITY = {
    "PatientName": "Quillfeather^Dorothea",
    "PatientID": "ZZ-4711",
    "AccessionNumber": "ACC-0815",
}
STUDY = "1.2.826.7"
HEAD_MM = tuple(range(-50, 51, 5))


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Site]:
    given = {"dicom_port": free_port(), "log_level": "DEBUG"}
    own = settings.model_copy(update=given)
    site = Site(own, database, tmp_path / "log")
    yield site
    site.stop()
    sys.stdout.write(site.log.read_text())  # shown where the test failed


def messages(site: Site) -> bytes:
    """Give all that Redis holds."""
    with client(site.settings) as connection:
        return b"\n".join(
            key + b"".join(connection.lrange(key, 0, -1))
            for key in connection.keys("*")
            if connection.type(key) == b"list"
        )


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_no_log_file_name_or_message_names_the_patient(site: Site, tmp_path: Path) -> None:
    looks = {"PixelSpacing": [1.2, 1.2], "ConvolutionKernel": "H31s"}
    phantom = Phantom(HEAD_MM, study=STUDY, changes=IDENTITY | looks)
    torn = Phantom((0.0,), study=f"{STUDY}.2", changes=IDENTITY).dataset(0)
    # A length that lies: what follows, the patient's name, is read as part of a UID.
    torn["StudyInstanceUID"] = element("StudyInstanceUID", "1.2\0Quillfeather^Dorothea")
    site.start_receiver()
    assert set(site.send(phantom.write(tmp_path / "good"))) == {0x0000}
    assert 0x0000 not in site.send(write([torn], tmp_path / "torn"))
    site.wait_until(StudyState.READY, STUDY)
    waiting = wait_for("message", lambda: messages(site) if b"triage" in messages(site) else None)
    names = "\n".join(str(path) for path in site.settings.storage.rglob("*"))
    for secret in SECRETS:
        assert secret not in site.log.read_text()
        assert secret not in names
        assert secret.encode() not in waiting
    with site.database.reading() as session:  # it was there to be leaked
        assert session.query(Study).one().patient_id == "ZZ-4711"


def test_an_error_of_the_database_quotes_no_value(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError) as failed, database.engine.connect() as connection:
        connection.execute(sa.text("SELECT :name FROM nowhere"), {"name": "Quillfeather"})
    assert "Quillfeather" not in str(failed.value)
