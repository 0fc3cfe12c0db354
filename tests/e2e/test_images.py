"""The images of a study in a real browser: a real head, scrolled, windowed and overlaid."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from schema.database import open_database, upgrade
from schema.settings import Settings
from tests.support.browsers import CHROMIUM, WITHIN_MS, browse, serve, visit
from tests.support.phantoms import Phantom, ThresholdPredictor
from tests.support.readings import read_study, sample
from tests.support.rows import add_thousand

# Slow: starts a browser.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

BLEED = "2.25.310262435668491577499071786640324511257"  # CT-ICH patient 77 of deploy/samples
SLICES = 31
VIEWER = "https://pacs.example/ohif/viewer?StudyInstanceUIDs={study}"
GAPPED_MM = (-20.0, -15.0, -10.0, 20.0, 25.0)
UNMASKED_MM = (-5.0, 0.0, 25.0, 30.0, 35.0)  # most blood lies on the second


class Drawn(ThresholdPredictor):
    """Calls what is bright in the place where this patient bleeds an epidural hemorrhage."""

    def predict(
        self, hu: npt.NDArray[np.floating], slice_position_mm: npt.NDArray[np.floating]
    ) -> SimpleNamespace:
        found = super().predict(hu, slice_position_mm)
        here = np.zeros(hu.shape, np.bool_)
        here[10:21, 180:330, 95:165] = True
        found.labels[~here] = 0
        return found


class Everywhere(ThresholdPredictor):
    """Calls a great part of a head blood, so that its study is critical."""

    def predict(
        self, hu: npt.NDArray[np.floating], slice_position_mm: npt.NDArray[np.floating]
    ) -> SimpleNamespace:
        found = super().predict(hu, slice_position_mm)
        found.labels[12:20, 200:320, 200:320] = 1
        return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """Serve a real bleed, a phantom with a gap, and one whose masks could not be written."""
    settings = Settings(_env_file=None, home=home)
    upgrade(settings)
    database = open_database(settings)
    read_study(settings, database, sample("bleed"), Drawn())
    gapped = Phantom(GAPPED_MM, skull=True, study="1.2.9")
    read_study(settings, database, gapped.write(home / "gapped"))
    unmasked = Phantom(UNMASKED_MM, skull=True, study="1.2.8", without=["FrameOfReferenceUID"])
    read_study(settings, database, unmasked.write(home / "unmasked"))
    database.engine.dispose()
    with serve(settings, {"TRIAGE_VIEWER_URL": VIEWER}) as address:
        yield address


@pytest.fixture(scope="module")
def window(address: str) -> Iterator[Page]:
    with browse(address) as page:
        yield page


@pytest.fixture
def browser(window: Page) -> Browser:
    assert window.context.browser is not None
    return window.context.browser


@pytest.fixture
def page(window: Page, address: str) -> Page:
    """Open the bleed's images anew."""
    window.goto(address)  # or the same address with its mark would not be loaded again
    window.goto(f"{address}study/{BLEED}#viewer")
    window.locator("#canvas:not([data-shown=''])[data-shown]").wait_for()
    return window


def shown(page: Page) -> int:
    return int(page.locator("#place").inner_text().split()[0]) - 1


def expect_slice(page: Page, index: int) -> None:
    expect(page.locator("#canvas")).to_have_attribute("data-shown", str(index), timeout=WITHIN_MS)
    assert shown(page) == index


def colours(page: Page) -> int:
    """Count pixels that are no grey: those of the overlay."""
    script = """canvas => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let i = 0; i < data.length; i += 4) if (data[i] !== data[i + 2]) found += 1;
        return found;
    }"""
    return int(page.locator("#canvas").evaluate(script))


def grey(page: Page) -> float:
    script = """canvas => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let sum = 0;
        for (let i = 0; i < data.length; i += 4) sum += data[i];
        return 4 * sum / data.length;
    }"""
    return float(page.locator("#canvas").evaluate(script))


def centre(part: Locator) -> tuple[float, float]:
    box = part.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_it_opens_at_the_slice_with_most_blood(page: Page) -> None:
    opened = shown(page)
    page.get_by_role("slider").fill("0")
    expect_slice(page, 0)
    page.get_by_role("button", name="Most blood").click()
    expect_slice(page, opened)
    assert colours(page) > 500


def test_the_wheel_scrolls(page: Page) -> None:
    begun = shown(page)
    page.mouse.move(*centre(page.locator("#canvas")))
    page.mouse.wheel(0, -120)
    expect_slice(page, begun + 3)


def test_the_keys_scroll(page: Page) -> None:
    canvas = page.locator("#canvas")
    expect(canvas).to_be_focused()
    for key, index in (("Home", 0), ("ArrowUp", 1), ("PageUp", 6), ("ArrowDown", 5), ("End", 30)):
        canvas.press(key)
        expect_slice(page, index)


def test_the_slider_scrolls(page: Page) -> None:
    page.get_by_role("slider").fill("4")
    expect_slice(page, 4)


def test_a_slice_that_is_not_there_yet_never_shows_the_one_before(page: Page) -> None:
    study, held = page.url, []
    page.goto("about:blank")  # or a slice may be on its way already
    page.route("**/images/*/5", lambda route: held.append(route))
    page.goto(study)
    page.locator("#canvas:not([data-shown=''])[data-shown]").wait_for()
    assert grey(page) > 0
    page.get_by_role("slider").fill("5")
    expect(page.locator("#says")).to_have_text("Loading slice 6…")
    assert grey(page) == 0
    while not held:
        page.wait_for_timeout(50)
    held[0].fulfill(body="cut short")
    expect(page.locator("#says")).to_contain_text("Slice 6 could not be loaded")
    assert grey(page) == 0
    page.unroute("**/images/*/5")
    for index in (6, 5):
        page.get_by_role("slider").fill(str(index))
        expect_slice(page, index)
    expect(page.locator("#says")).to_be_empty()


def test_a_preset_is_one_click_or_one_key(page: Page) -> None:
    brain = grey(page)
    page.get_by_role("button", name="Bone").click()
    assert page.locator("#window").inner_text() == "600 / 2800"
    assert grey(page) != brain
    page.locator("#canvas").press("2")
    assert page.locator("#window").inner_text() == "75 / 215"
    expect(page.get_by_role("button", name="Subdural")).to_have_attribute("aria-pressed", "true")


def test_a_drag_changes_level_and_width(page: Page) -> None:
    x, y = centre(page.locator("#canvas"))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 40, steps=4)
    page.mouse.up()
    level, width = map(int, page.locator("#window").inner_text().split(" / "))
    assert level > 40
    assert width > 80


def test_the_keys_change_level_and_width_too(page: Page) -> None:
    canvas = page.locator("#canvas")
    begun = shown(page)
    for key in ("Shift+ArrowRight", "Shift+ArrowDown"):
        canvas.press(key)
    level, width = map(int, page.locator("#window").inner_text().split(" / "))
    assert level > 40
    assert width > 80
    assert shown(page) == begun


def test_an_overlay_goes_and_comes_by_type_and_by_key(page: Page) -> None:
    drawn = colours(page)
    page.get_by_label("Epidural hemorrhage").uncheck()
    assert colours(page) == 0
    page.locator("#canvas").press("o")
    assert colours(page) == drawn
    assert page.get_by_label("Epidural hemorrhage").is_checked()


def test_the_strip_has_every_slice_and_leads_to_it(page: Page) -> None:
    bars = page.locator("#strip .slice")
    assert bars.count() == SLICES
    assert "score" in (bars.first.locator("title").text_content() or "")
    bars.nth(7).locator(".ground").click(force=True)
    expect_slice(page, 7)


def test_a_gap_is_drawn_as_a_gap(page: Page, address: str) -> None:
    page.goto(f"{address}study/1.2.9#viewer")
    gap = page.locator("#strip .gap")
    assert gap.locator("title").text_content() == "30 mm without a slice"
    box, bar = gap.bounding_box(), page.locator("#strip .slice").nth(1).bounding_box()
    assert box is not None
    assert bar is not None
    assert box["width"] == pytest.approx(5 * bar["width"], rel=0.05)


def test_blood_without_masks_keeps_its_outlined_picture_and_says_why(
    page: Page, address: str
) -> None:
    page.goto(f"{address}study/1.2.8#viewer")
    expect_slice(page, 1)
    expect(page.locator("#about")).to_contain_text("mL of blood found, its mask is not shown")
    expect(page.get_by_role("img", name="Key picture")).to_be_visible()
    expect(page.locator(".layers")).to_contain_text("could not be written as DICOM")
    expect(page.locator(".technical")).to_contain_text("Frame of Reference UID")
    page.get_by_role("slider").fill("4")
    expect(page.locator("#about")).to_contain_text("no blood marked")


def test_the_key_picture_on_the_row_leads_to_the_images(page: Page, address: str) -> None:
    page.goto(address)
    picture = page.locator("tbody tr", has_text="077").get_by_role("img")
    picture.scroll_into_view_if_needed()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    picture.click()
    page.wait_for_url(f"**/study/{BLEED}#viewer")
    expect(page.locator("#canvas")).to_be_visible()


def test_every_series_says_why_it_was_chosen(page: Page) -> None:
    table = page.get_by_role("table", name="Every series, and why it was analysed or not")
    assert "chosen for analysis" in table.inner_text()
    assert "score 10" in table.inner_text()


def test_the_timeline_goes_from_the_first_image_to_the_result(page: Page) -> None:
    lines = page.locator(".timeline li").all_inner_texts()
    assert "first image" in lines[0]
    assert "ended: positive" in lines[-1]


def test_a_finger_scrolls(browser: Browser, address: str) -> None:
    size = {"width": 390, "height": 844}
    with visit(browser, f"{address}study/{BLEED}#viewer", viewport=size, has_touch=True) as phone:
        phone.locator("#canvas:not([data-shown=''])[data-shown]").wait_for()
        begun = shown(phone)
        x, y = centre(phone.locator("#canvas"))
        touch = phone.context.new_cdp_session(phone)
        for kind, down in (("touchStart", 0), ("touchMove", 20), ("touchMove", 40)):
            points = [{"x": x, "y": y + down}]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        expect_slice(phone, begun - 3)


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_the_images(page: Page, width: int, scheme: str) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1440, "height": 900})


def test_the_images_and_what_steers_them_fit_on_one_screen(page: Page) -> None:
    for part in ("#canvas", "#strip", "#slider", "#most", ".layers"):
        box = page.locator(part).bounding_box()
        assert box is not None
        height = box["y"] + box["height"] + page.evaluate("scrollY")
        assert height <= 900, part


def test_without_javascript_the_key_picture_and_the_strip_are_there(
    browser: Browser, address: str
) -> None:
    with visit(browser, f"{address}study/{BLEED}", java_script_enabled=False) as plain:
        assert plain.get_by_role("img", name="Key picture").is_visible()
        assert plain.locator("#strip").is_visible()


def test_a_viewer_that_the_site_has_is_a_click_away(page: Page) -> None:
    link = page.get_by_role("link", name="Open in the viewer")
    assert link.get_attribute("href") == VIEWER.replace("{study}", BLEED)


def test_a_real_critical_bleed_appears_among_a_thousand_others_and_goes_when_it_is_seen(
    window: Page, address: str, home: Path
) -> None:
    settings = Settings(_env_file=None, home=home)
    database = open_database(settings)
    add_thousand(database)
    window.goto(address)
    window.evaluate("window.notReloaded = true")
    read_study(settings, database, sample("healthy"), Everywhere(), datetime.now(UTC))
    database.engine.dispose()
    row = window.locator("tbody tr", has_text="CTICH-057")
    row.wait_for()
    assert window.evaluate("window.notReloaded")
    box = row.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 900
    picture = row.get_by_role("img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 256
    row.get_by_role("button", name="Seen").click()
    expect(row.get_by_role("button", name="Seen")).to_have_count(0)
