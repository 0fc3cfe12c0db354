"""The page in a real browser."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from sqlalchemy import select

from schema.database import Database
from schema.readers import Role
from schema.settings import Settings
from schema.states import Outcome, SeriesState
from schema.tables import Finding, KeyPicture, Study
from tests.support.browsers import CHROMIUM, FLAGS, WITHIN_MS, browse, serve
from tests.support.rows import (
    LONG_AGO,
    add_job,
    add_series,
    add_study,
    add_thousand,
    done,
    show_life,
)
from worklist.access.users import add_user

# Slow: starts a browser.
PASSWORD = "correct horse battery"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.parametrize("settings", ["sqlite"], indirect=True),
]


@pytest.fixture
def address(settings: Settings, database: Database) -> Iterator[str]:
    """Serve a list of one bleed, one healthy head and one study that was not analysed."""
    with database.transaction() as session:
        bleed = add_study(session, "1.2.1")
        bleed.patient_name = "<script>document.title='hacked'</script>"
        series = add_series(bleed, session)
        session.delete(series.instances[0])  # rows alone: there is no image to show
        job = add_job(series, session, **done(Outcome.POSITIVE, 1))
        job.findings.append(Finding(subtype="EDH", probability=0.9, volume_ml=41.2, present=True))
        healthy = add_study(session, "1.2.2")
        add_job(add_series(healthy, session), session, **done(Outcome.NEGATIVE, 4))
        scout = add_study(session, "1.2.3")
        add_job(
            add_series(scout, session, state=SeriesState.SELECTED),
            session,
            **done(Outcome.NOT_ANALYSED, 0, reason="NaN in the geometry"),
        )
    show_life(database)
    with serve(settings) as address:
        yield address


@pytest.fixture
def page(address: str) -> Iterator[Page]:
    with browse(address) as page:
        yield page


def test_a_radiologist_sees_the_bleed_first_and_no_study_misnamed(page: Page) -> None:
    rows = [row.inner_text() for row in page.locator("tbody tr").all()]
    assert len(rows) == 3
    assert "41.2" in rows[0]
    assert "not analysed" in rows[1].lower()  # came later; both keep their place by arrival
    assert "none found" not in rows[1].lower()
    assert "does not exclude" in rows[2].lower()


def test_a_patients_name_is_text_and_never_runs(page: Page) -> None:
    assert "hacked" not in page.title()
    assert "<script>" in page.locator("tbody").inner_text()


def test_a_click_on_a_study_explains_it(page: Page) -> None:
    page.locator("tbody tr").first.locator("a").first.click()
    page.wait_for_url("**/study/1.2.1")
    assert "EDH" in page.locator("main").inner_text()


def grave_faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")]


def add_critical(database: Database, uid: str, name: str) -> None:
    with database.transaction() as session:
        fresh, now = add_study(session, uid), datetime.now(UTC)
        fresh.patient_name, fresh.received_at = name, now
        ended = done(Outcome.POSITIVE, 1, finished_at=now)
        add_job(add_series(fresh, session), session, **ended)


def log_in(page: Page, address: str, name: str) -> None:
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Log out").wait_for(timeout=WITHIN_MS)


@pytest.mark.parametrize("width", [1440, 390])
def test_everybody_can_use_every_page(page: Page, address: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    for path in ("", "study/1.2.1", "study/1.2.3", "wall", "model", "performance", "login",
                 "users", "?search=nobody", "?view=all"):  # fmt: skip
        page.goto(address + path)
        assert (path, grave_faults(page)) == (path, [])
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("width", [1440, 390])
def test_everybody_can_use_a_page_that_says_no(address: str, width: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 900})
        for path, status in (("study/9.9", 404), ("nowhere", 404), ("?priority=many", 400)):
            answer = page.goto(address + path)  # a status of its own is a line in the console
            assert answer is not None
            assert answer.status == status
            assert (path, grave_faults(page)) == (path, [])
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        browser.close()


def test_a_new_critical_study_appears_on_the_first_screen_without_a_reload(
    page: Page, database: Database
) -> None:
    add_thousand(database)
    page.reload()
    page.evaluate("window.notReloaded = true")
    with database.transaction() as session:
        fresh = add_study(session, "1.5.5")
        fresh.patient_name, fresh.received_at = "FRESH^BLEED", datetime.now(UTC)
        add_job(add_series(fresh, session), session, **done(Outcome.POSITIVE, 1))
    page.get_by_role("link", name="FRESH, BLEED").wait_for(timeout=WITHIN_MS)
    assert page.locator("tbody tr").first.inner_text().count("FRESH") == 1
    assert page.evaluate("window.notReloaded")
    assert int(page.title()[1:].partition(")")[0]) > 1


def add_pictures(database: Database) -> None:
    """Let the first rows be bleeds with key pictures, the highest that a row can be."""
    file = BytesIO()
    Image.new("RGB", (256, 256), "grey").save(file, "JPEG")
    with database.transaction() as session:
        for number in range(20):
            study = add_study(session, f"1.8.{number}")
            job = add_job(add_series(study, session), session, **done(Outcome.POSITIVE, 1))
            job.key_picture = KeyPicture(jpeg=file.getvalue())
            job.look = {
                "unlike": {
                    "is_high": True,
                    "score": 9,
                    "bar": 1,
                    "named": "noise",
                    "words": "noise 9",
                }
            }
            study.escalated_at, study.received_at = LONG_AGO, datetime.now(UTC)


def test_at_least_twelve_rows_are_on_the_screen(page: Page, database: Database) -> None:
    add_thousand(database)
    add_pictures(database)
    page.reload()
    page.get_by_role("img", name="slice with most blood").nth(11).wait_for(timeout=WITHIN_MS)
    script = "[...document.querySelectorAll('tbody tr')]"
    script += ".filter(row => row.getBoundingClientRect().bottom <= innerHeight).length"
    assert page.evaluate(script) >= 12


def test_a_refresh_leaves_the_focus_on_what_the_reader_chose(
    page: Page, database: Database
) -> None:
    chosen = page.locator("tbody tr", has_text="does not exclude").get_by_role("button")
    chosen.focus()
    add_critical(database, "1.5.7", "NEW^BLEED")
    page.get_by_role("link", name="NEW, BLEED").wait_for(timeout=WITHIN_MS)
    expect(chosen).to_be_focused()


def test_a_key_marks_one_study_and_goes_on_to_the_next(page: Page) -> None:
    page.keyboard.press("j")
    following = page.locator("a.open").nth(1).get_attribute("href")
    page.keyboard.down("s")
    page.keyboard.down("s")  # held down
    page.locator("tbody .level-1").wait_for(state="detached", timeout=WITHIN_MS)
    expect(page.locator(f'a.open[href="{following}"]')).to_be_focused()
    page.keyboard.up("s")
    assert page.get_by_role("button", name="undo").count() <= 1
    assert page.get_by_role("button", name="Seen").count() >= 1


def test_the_key_for_seen_never_takes_back_what_another_reader_saw(
    page: Page, address: str, database: Database
) -> None:
    with database.transaction() as session:
        for study in session.scalars(select(Study)):
            study.acknowledged_at, study.acknowledged_by = datetime.now(UTC), "anna"
    page.goto(address + "?view=all")
    page.evaluate("""window.sent = 0;
        document.addEventListener("submit", () => { window.sent += 1; }, true)""")
    page.keyboard.press("j")
    page.keyboard.press("s")
    assert page.evaluate("window.sent") == 0
    expect(page.get_by_role("button", name="undo")).to_have_count(3)


def test_a_list_whose_server_hangs_turns_pale_and_comes_back(
    page: Page, address: str, database: Database
) -> None:
    page.route(address, lambda _route: None)  # never answered
    add_critical(database, "1.5.7", "HUNG^BLEED")
    expect(page.get_by_role("alert")).to_contain_text("does not answer", timeout=WITHIN_MS)
    expect(page.locator("body")).to_have_class(re.compile("stale"))
    page.unroute(address)
    add_critical(database, "1.5.8", "BACK^BLEED")
    page.get_by_role("link", name="BACK, BLEED").wait_for(timeout=WITHIN_MS)
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.locator("body")).not_to_have_class(re.compile("stale"))


def test_a_list_that_slept_is_pale_before_anything_answers(page: Page, address: str) -> None:
    page.clock.install()
    page.reload()
    page.route(address, lambda _route: None)
    page.clock.fast_forward("08:00:00")
    expect(page.get_by_role("alert")).to_contain_text("Read all studies in their normal order")


def test_what_a_reader_is_told_of_a_study_outlives_a_refresh(
    address: str, database: Database
) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()  # a status of its own is a line in the console
        page.goto(address)
        row = page.locator("tbody tr").first
        row.locator("input[name=result]").evaluate("field => { field.value = '2020-01-01'; }")
        row.get_by_role("button", name="Seen").click()
        told = page.get_by_role("alert").filter(has_text="newer result")
        told.wait_for(timeout=WITHIN_MS)
        add_critical(database, "1.5.7", "NEW^BLEED")
        page.get_by_role("link", name="NEW, BLEED").wait_for(timeout=WITHIN_MS)
        expect(told).to_contain_text("Nothing was changed")
        browser.close()


def test_a_row_that_came_under_a_resting_pointer_is_not_clicked(
    page: Page, database: Database
) -> None:
    box = page.locator("tbody tr").first.get_by_role("button", name="Seen").bounding_box()
    assert box is not None
    place = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*place)
    page.evaluate(
        """place => new MutationObserver((_, watch) => {
        watch.disconnect();
        window.clicked = true;
        const button = document.elementFromPoint(...place).closest("button");
        setTimeout(() => button.dispatchEvent(
            new MouseEvent("click", { bubbles: true, cancelable: true, detail: 1 })));
    }).observe(document.querySelector("main"), { childList: true })""",
        list(place),
    )
    add_critical(database, "1.5.8", "SUDDEN^BLEED")
    page.get_by_text("The list moved just now").wait_for(timeout=WITHIN_MS)
    with database.reading() as session:
        assert session.scalars(select(Study).where(Study.acknowledged_at.is_not(None))).all() == []


def test_seen_takes_an_old_study_off_the_list_and_keeps_it_one_click_away(
    page: Page, address: str
) -> None:
    row = page.locator("tbody tr", has_text="1 critical")
    row.get_by_role("button", name="Seen").click()
    row.wait_for(state="detached", timeout=WITHIN_MS)
    page.goto(address + "?view=all")
    assert "seen by local" in page.locator("tbody tr").last.inner_text()


def test_a_disagreement_is_exported(page: Page, address: str) -> None:
    page.goto(address + "study/1.2.1")
    page.get_by_label("or, if not").select_option("ARTEFACT")
    page.get_by_role("button", name="Disagree").click()
    page.get_by_text("disagreed: artefact").wait_for(timeout=WITHIN_MS)
    (given,) = page.request.get(address + "api/verdicts").json()
    assert given["cause"] == "ARTEFACT"


def test_enter_in_the_comment_never_agrees(page: Page, address: str) -> None:
    page.goto(address + "study/1.2.2")
    comment = page.get_by_label("Comment")
    comment.fill("near the vertex")
    comment.press("Enter")  # no cause was chosen: the browser asks for one
    page.get_by_label("or, if not").select_option("MISSED_BLEED")
    comment.press("Enter")
    page.get_by_text("disagreed: a bleed was missed").wait_for(timeout=WITHIN_MS)
    (given,) = page.request.get(address + "api/verdicts").json()
    assert (given["agrees"], given["bleeds"]) == (False, True)
    assert given["comment"] == "near the vertex"


def test_a_login_opens_the_page_and_logging_out_closes_it(
    page: Page, address: str, database: Database
) -> None:
    with database.transaction() as session:
        add_user(session, "anna", Role.READER, PASSWORD)
    log_in(page, address, "anna")
    assert page.get_by_text("anna, reader").is_visible()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.goto(address)
    assert page.get_by_role("heading", name="Log in").is_visible()


def test_an_admin_sees_who_may_log_in_and_a_reader_does_not(
    page: Page, address: str, database: Database
) -> None:
    with database.transaction() as session:
        add_user(session, "adam", Role.ADMIN, PASSWORD)
    log_in(page, address, "adam")
    page.get_by_role("link", name="Users").click()
    assert "adam" in page.locator("main").inner_text()
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert grave_faults(page) == []
    with database.transaction() as session:
        add_user(session, "adam", Role.READER, PASSWORD)  # another role ends the sessions
    log_in(page, address, "adam")
    assert page.get_by_role("link", name="Users").count() == 0


def test_the_list_goes_by_keyboard(page: Page) -> None:
    links = page.locator("a.open")
    page.keyboard.press("j")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("k")
    expect(links.nth(0)).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type("jks")  # letters of a search are no commands
    assert page.locator("#search").input_value() == "jks"


def test_a_study_is_marked_as_seen_and_opened_by_keyboard(page: Page) -> None:
    page.keyboard.press("j")
    page.keyboard.press("s")
    page.locator("tbody .level-1").wait_for(state="detached", timeout=WITHIN_MS)
    page.locator("a.open").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/study/**")


def test_a_sound_that_the_reader_switched_on_calls_out_a_new_critical_study(
    page: Page, database: Database
) -> None:
    page.add_init_script("""
        window.tones = 0;
        const make = AudioContext.prototype.createOscillator;
        AudioContext.prototype.createOscillator = function () {
            window.tones += 1;
            document.documentElement.dataset.tones = window.tones;
            return make.call(this);
        };
    """)
    page.reload()
    switch = page.get_by_role("button", name="Sound off")
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(page.get_by_role("button", name="Sound on")).to_have_attribute("aria-pressed", "true")
    tried = page.evaluate("window.tones")  # a sound at once, so that the reader knows it
    add_critical(database, "1.5.6", "LOUD^BLEED")
    page.get_by_role("link", name="LOUD, BLEED").wait_for(timeout=WITHIN_MS)
    assert page.evaluate("window.tones") > tried > 0
    page.get_by_role("link", name="LOUD, BLEED").click()
    with database.transaction() as session:
        # As many as before: another reader has seen the first one.
        seen = session.scalars(select(Study).where(Study.study_instance_uid == "1.5.6")).one()
        seen.acknowledged_at, seen.acknowledged_by = datetime.now(UTC), "anna"
    add_critical(database, "1.5.9", "LATER^BLEED")
    page.get_by_role("link", name="Worklist", exact=True).click()
    expect(page.get_by_role("button", name="Sound on")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-tones", re.compile(r"\d+"))


def test_the_page_is_silent_unless_told_otherwise(page: Page) -> None:
    assert page.get_by_role("button", name="Sound off").is_visible()


def test_dark_mode_is_dark_by_default(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in shade.removeprefix("rgb(").rstrip(")").split(", ")) < 60
    assert grave_faults(page) == []


def test_the_page_says_that_it_is_no_medical_device(page: Page) -> None:
    assert "not a medical device" in page.locator("body").inner_text().lower()


def test_nothing_scrolls_sideways_on_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
