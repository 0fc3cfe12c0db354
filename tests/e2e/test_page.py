"""The page in a real browser."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from schema.database import Database
from schema.settings import Settings
from schema.states import Outcome, SeriesState
from schema.tables import Finding
from tests.support.processes import free_port, wait_for_port
from tests.support.rows import add_job, add_series, add_study, done

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.parametrize("settings", ["sqlite"], indirect=True),
]


@pytest.fixture
def address(settings: Settings, database: Database) -> Iterator[str]:
    """Serve a list of one bleed, one healthy head and one study that was not analysed."""
    with database.transaction() as session:
        bleed = add_study(session, "1.2.1")
        bleed.patient_name = "<script>document.title='hacked'</script>"
        job = add_job(add_series(bleed, session), session, **done(Outcome.POSITIVE, 1))
        job.findings.append(Finding(subtype="EDH", probability=0.9, volume_ml=41.2, present=True))
        healthy = add_study(session, "1.2.2")
        add_job(add_series(healthy, session), session, **done(Outcome.NEGATIVE, 4))
        scout = add_study(session, "1.2.3")
        add_job(
            add_series(scout, session, state=SeriesState.SELECTED),
            session,
            **done(Outcome.NOT_ANALYSED, 0, reason="NaN in the geometry"),
        )
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "worklist"],
        env={
            "PATH": "",
            "TRIAGE_HOME": str(settings.home),
            "TRIAGE_WORKLIST_PORT": str(port),
        },
        stderr=subprocess.DEVNULL,
    )
    wait_for_port(port)
    yield f"http://127.0.0.1:{port}/"
    server.terminate()
    assert server.wait() == 0


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        yield page
        browser.close()


def test_a_radiologist_sees_the_bleed_first_and_no_study_misnamed(page: Page) -> None:
    rows = [row.inner_text() for row in page.locator("tbody tr").all()]
    assert len(rows) == 3
    assert "41.2" in rows[0]
    assert "does not exclude" in rows[1].lower()
    assert "not analysed" in rows[2].lower()
    assert "none found" not in rows[2].lower()


def test_a_patients_name_is_text_and_never_runs(page: Page) -> None:
    assert "hacked" not in page.title()
    assert "<script>" in page.locator("tbody").inner_text()


def test_a_click_on_a_study_explains_it(page: Page) -> None:
    page.locator("tbody tr").first.locator("a").first.click()
    page.wait_for_url("**/study/1.2.1")
    assert "EDH" in page.locator("main").inner_text()


def test_the_page_says_that_it_is_no_medical_device(page: Page) -> None:
    assert "not a medical device" in page.locator("body").inner_text().lower()


def test_nothing_scrolls_sideways_on_a_phone(page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
