"""A database that comes back from a backup: what was acknowledged since is not missing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from schema.database import Database
from schema.settings import Settings
from schema.states import Outcome, StudyState
from schema.tables import Instance, Job, Study
from tests.support.backups import back_up, destroy, restore
from tests.support.models import tiny_model
from tests.support.phantoms import Phantom
from tests.support.processes import Site, site_of, wait_for

pytestmark = pytest.mark.slow  # starts a whole system

SLICES_MM = tuple(np.arange(-35.0, 35.1, 5.0).tolist())


@pytest.fixture
def site(settings: Settings, database: Database, tmp_path: Path) -> Iterator[Site]:
    model = tiny_model(tmp_path / "tiny.safetensors")  # the shipped one: test_names, test_canary
    with site_of(settings, database, tmp_path / "log", model=model) as site:
        yield site


def send(site: Site, number: int, folder: Path) -> None:
    head = Phantom(SLICES_MM, size=128, spacing_mm=1.2, skull=True, study=f"1.2.{number}")
    assert set(site.send(head.write(folder / str(number)))) == {0x0000}


def test_what_came_after_the_backup_is_rebuilt_from_the_storage_and_analysed_again(
    site: Site, tmp_path: Path
) -> None:
    receiver, worker = site.start_receiver(), site.start_worker()
    send(site, 1, tmp_path)
    before = site.wait_until(StudyState.DONE, "1.2.1")
    back_up(site.settings, tmp_path / "backup")
    send(site, 2, tmp_path)
    site.wait_until(StudyState.DONE, "1.2.2")
    send(site, 3, tmp_path)  # acknowledged, and perhaps not even catalogued
    site.kill(receiver)
    site.kill(worker)

    destroy(site.settings, site.database)
    restore(site.settings, tmp_path / "backup")
    assert site.count(Study) == 1
    site.start_receiver()
    site.start_worker()

    for number in (2, 3):
        outcome = site.wait_until(StudyState.DONE, f"1.2.{number}").outcome
        assert outcome not in (Outcome.FAILED, None)
    after = site.wait_until(StudyState.DONE, "1.2.1")
    assert (after.outcome, after.finished_at) == (before.outcome, before.finished_at)
    wait_for("every image", lambda: site.count(Instance) == 3 * len(SLICES_MM))
    assert site.count(Job) == 3
