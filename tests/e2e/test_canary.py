"""A canary goes the whole way through the shipped model, and only the operator hears of it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.database import Database
from schema.settings import Settings
from schema.tables import Canary
from tests.support.deadline import DEADLINE_S
from tests.support.processes import Site, free_port, wait_for
from worklist.opening import open_to_read
from worklist.queries import read_worklist

pytestmark = pytest.mark.slow  # starts a whole system


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Site]:
    changes = {"dicom_port": free_port(), "canary_minutes": 1, "time_limit_s": DEADLINE_S}
    own = settings.model_copy(update=changes)
    site = Site(own, database, tmp_path / "log")
    yield site
    site.stop()
    sys.stdout.write(site.log.read_text())


@pytest.mark.timeout(2 * DEADLINE_S)
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_canary_comes_out_as_known_and_is_on_no_list(site: Site) -> None:
    site.start_receiver()
    site.start_worker("-P", "solo")

    def ended() -> Canary | None:
        with site.database.reading() as session:
            ended = sa.select(Canary).where(Canary.ended_at.is_not(None))
            # On a busy host the first may come before our own port is open, and says so.
            return session.scalar(ended.where(~Canary.detail.startswith("no association")))

    canary = wait_for("end of a canary", ended, DEADLINE_S)
    assert canary.is_known, canary.detail
    assert canary.seconds is not None
    readers = open_to_read(site.settings)
    assert read_worklist(readers, site.settings.storage).entries == ()
    readers.engine.dispose()

    def is_well() -> bool:  # the worker's sign of life may come later than its first result
        return site.start(sys.executable, "-m", "schema", "check", "--ready").wait(DEADLINE_S) == 0

    wait_for("check without a failure", is_well)
    assert "the known result after" in site.log.read_text()
