"""The images of an analysis over HTTP: who may see them, where they are kept, and for how long."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from receiver.catalogue.reopening import reopen
from receiver.catalogue.retention import Retention
from schema.database import Database, open_database, upgrade
from schema.readers import Role
from schema.settings import Settings
from schema.states import SeriesState
from schema.tables import Job
from tests.support.pages import Browser
from tests.support.phantoms import BRAIN_HU, Phantom
from tests.support.readings import read_study
from tests.support.rows import add_instance, add_job, add_series, add_study
from worker.slices import read_series
from worklist.access.users import add_user
from worklist.images import preparing
from worklist.images.cache import make_cache
from worklist.images.sources import find_images
from worklist.page import make_app

PLACES_MM = (-5.0, 0.0, 5.0)
UID = "1.2.3"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a home with one analysed phantom, which each test gets a copy of."""
    folder = tmp_path_factory.mktemp("template")
    settings = Settings(_env_file=None, home=folder / "home")
    upgrade(settings)
    database = open_database(settings)
    phantom = Phantom(PLACES_MM, skull=True, size=64, spacing_mm=3.0)
    read_study(settings, database, phantom.write(folder / "sent"))
    database.engine.dispose()
    return folder


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    shutil.copytree(template / "home", tmp_path / "home")
    return Settings(_env_file=None, home=tmp_path / "home")


@pytest.fixture
def paths(template: Path) -> list[Path]:
    return sorted((template / "sent").iterdir())


@pytest.fixture
def job(database: Database) -> int:
    with database.reading() as session:
        return session.query(Job).one().id


@pytest.fixture
def page(settings: Settings, database: Database, job: int) -> Browser:
    return Browser(make_app(database, settings))


def cached(settings: Settings) -> list[Path]:
    return sorted((settings.home / "pictures").iterdir())


def remove_images(settings: Settings, database: Database) -> None:
    short = settings.model_copy(update={"retention_days": 1e-9})
    assert Retention(short, database).sweep() == len(PLACES_MM)


def test_a_slice_is_what_the_scanner_sent(page: Browser, job: int, paths: list[Path]) -> None:
    series = page.get(f"/api/job/{job}/images").json()
    answer = page.get(f"/api/job/{job}/images/{series['version']}/1")
    hu = np.frombuffer(answer.content[: 2 * 64 * 64], "<i2").reshape(64, 64)
    assert np.array_equal(hu, read_series(paths).volume.hu[1])
    assert answer.headers["content-encoding"] == "gzip"


def test_no_image_is_kept_by_the_browser(page: Browser, job: int) -> None:
    for path in (f"/api/job/{job}/images", f"/api/job/{job}/key-picture"):
        assert page.get(path).headers["cache-control"] == "no-store"


def test_the_key_picture_is_a_jpeg_that_the_row_names(page: Browser, job: int) -> None:
    (row,) = page.get("/api/worklist").json()
    answer = page.get(row["key_picture"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert row["key_picture"] in page.get("/").text


def test_a_head_without_blood_has_no_picture_on_its_row(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    healthy = Phantom(PLACES_MM, skull=True, sphere_hu=BRAIN_HU, study="1.2.4", size=64)
    read_study(settings, database, healthy.write(tmp_path / "healthy"))
    page = Browser(make_app(database, settings))
    rows = page.get("/api/worklist").json()
    pictures = {row["study_instance_uid"]: row["key_picture"] for row in rows}
    assert pictures["1.2.4"] is None
    assert page.get("/").text.count("/key-picture") == 1


@pytest.mark.parametrize("lacks", ["FrameOfReferenceUID", "PatientSex"])
def test_blood_whose_masks_could_not_be_written_is_told_as_that(
    settings: Settings, database: Database, tmp_path: Path, lacks: str
) -> None:
    bleed = Phantom(PLACES_MM, skull=True, study="1.2.4", size=64, spacing_mm=3.0, without=[lacks])
    read_study(settings, database, bleed.write(tmp_path / "bleed"))
    page = Browser(make_app(database, settings))
    (series,) = page.get("/api/study/1.2.4").json()["series"]
    (read,) = series["jobs"]
    told = page.get(f"/api/job/{read['id']}/images").json()
    assert told["masks_missing"] == (lacks == "FrameOfReferenceUID")
    assert told["blood_ml"] == read["slices"]["blood_ml"]
    assert max(told["blood_ml"]) > 0


@pytest.mark.parametrize("path", ["images", "images/abc/0", "key-picture"])
def test_a_stranger_sees_no_image(page: Browser, database: Database, job: int, path: str) -> None:
    with database.transaction() as session:
        add_user(session, "anna", Role.READER, "correct horse battery")
    answer = page.get(f"/api/job/{job}/{path}")
    assert answer.status_code == 401
    assert len(answer.content) < 200


def test_whoever_opens_the_images_is_on_the_audit_trail(
    page: Browser, job: int, settings: Settings
) -> None:
    page.get(f"/api/job/{job}/images")
    (line,) = settings.audit.read_text().splitlines()
    assert "DICOM Instances Accessed" in line
    assert UID in line


def test_neither_address_nor_file_names_the_patient(
    page: Browser, job: int, settings: Settings
) -> None:
    page.get(f"/api/job/{job}/images")
    (file,) = cached(settings)
    assert file.name.startswith(f"{job}-")
    assert not {"P1", "A1", UID} & set(file.name.replace(".", "-").split("-"))


def test_what_is_cached_is_for_its_owner_alone(page: Browser, job: int, settings: Settings) -> None:
    page.get(f"/api/job/{job}/images")
    (file,) = cached(settings)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_series_is_decoded_once_for_all_who_ask_at_once(
    page: Browser, job: int, settings: Settings
) -> None:
    def ask(_: int) -> int:
        return page.get(f"/api/job/{job}/images").status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [200] * 4
    (made,) = cached(settings)
    number = made.stat().st_ino
    page.get(f"/api/job/{job}/images")
    assert made.stat().st_ino == number


def test_slices_of_two_versions_are_never_mixed(page: Browser, job: int) -> None:
    page.get(f"/api/job/{job}/images")
    assert page.get(f"/api/job/{job}/images/0123456789abcdef/0").status_code == 409


def test_images_that_came_since_are_not_shown_with_the_masks_of_others(
    page: Browser, job: int, database: Database
) -> None:
    version = page.get(f"/api/job/{job}/images").json()["version"]
    with database.transaction() as session:
        series = session.get_one(Job, job).series
        reopen(series)
        add_instance(series, session)
        series.state = SeriesState.REJECTED
    for path in ("images", f"images/{version}/0"):
        answer = page.get(f"/api/job/{job}/{path}")
        assert answer.status_code == 409
        assert "More images of this series came" in answer.json()["error"]


@pytest.mark.parametrize("path", ["images/{version}/3", "images/{version}/99999999"])
def test_a_slice_that_is_none_is_not_found(page: Browser, job: int, path: str) -> None:
    version = page.get(f"/api/job/{job}/images").json()["version"]
    assert page.get(f"/api/job/{job}/{path.format(version=version)}").status_code == 404


def test_images_that_retention_removed_are_gone_from_page_and_cache(
    page: Browser, job: int, settings: Settings, database: Database
) -> None:
    version = page.get(f"/api/job/{job}/images").json()["version"]
    remove_images(settings, database)
    assert page.get(f"/api/job/{job}/images").status_code == 410
    assert page.get(f"/api/job/{job}/images/{version}/0").status_code == 410
    assert make_cache(settings).forget_removed(database) == 1
    assert cached(settings) == []


def test_a_study_whose_images_were_removed_says_so_and_how_many(
    page: Browser, job: int, settings: Settings, database: Database
) -> None:
    remove_images(settings, database)
    assert "removed when their time was over" in page.get(f"/study/{UID}").text
    (series,) = page.get(f"/api/study/{UID}").json()["series"]
    assert (series["instances"], series["removed_instances"]) == (0, 3)


def test_images_that_are_here_stay_in_the_cache(
    page: Browser, job: int, settings: Settings, database: Database
) -> None:
    page.get(f"/api/job/{job}/images")
    assert make_cache(settings).forget_removed(database) == 0
    assert len(cached(settings)) == 1


def test_what_cannot_be_decoded_is_said_and_nothing_is_kept(
    page: Browser, job: int, settings: Settings
) -> None:
    damaged = sorted((settings.storage / "received").iterdir())[0]
    damaged.write_bytes(damaged.read_bytes()[:-3000])
    answer = page.get(f"/api/job/{job}/images")
    assert answer.status_code == 422
    assert "send it again" in answer.json()["error"]
    assert cached(settings) == []


@pytest.mark.parametrize("path", ["images", "images/{version}/0"])
def test_whoever_finds_no_turn_hears_that_and_not_that_the_worklist_is_down(
    settings: Settings, database: Database, job: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "AT_ONCE", 0)
    monkeypatch.setattr(preparing, "WAIT_S", 0)
    version = find_images(database, settings.storage, job).version
    page = Browser(make_app(database, settings))
    answer = page.get(f"/api/job/{job}/{path.format(version=version)}")
    assert answer.status_code == 503
    assert answer.json()["error"] == "Too many series are opened at once; try again in a minute"


def test_a_study_that_waits_has_no_images(page: Browser, database: Database) -> None:
    with database.transaction() as session:
        waiting = add_job(add_series(add_study(session, "1.9"), session), session).id
    assert page.get(f"/api/job/{waiting}/images").status_code == 410
    assert page.get("/api/job/999/key-picture").status_code == 410


def test_the_study_page_shows_the_series_and_a_score_for_each_slice(page: Browser) -> None:
    text = page.get(f"/study/{UID}").text
    assert text.count('class="slice') == len(PLACES_MM)
    (series,) = page.get(f"/api/study/{UID}").json()["series"]
    assert series["jobs"][0]["slices"]["probability"] == [1, 1, 1]


def test_the_process_that_decodes_needs_no_model_and_no_database() -> None:
    script = "import sys, worker.viewing; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(answer.stdout.decode().split())
    assert not {"torch", "sqlalchemy", "highdicom", "celery", "cv2"} & loaded


def test_a_study_keeps_its_name_out_of_what_the_viewer_is_told(page: Browser, job: int) -> None:
    told = page.get(f"/api/job/{job}/images").text
    assert "Phantom" not in told
    assert UID not in told
