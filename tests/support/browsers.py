"""The page in Debian's Chromium: a server of its own and a browser that notes every fault."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from schema.settings import Settings
from tests.support.deadline import DEADLINE_S
from tests.support.processes import free_port, wait_for_port

WITHIN_MS = 1000 * DEADLINE_S
CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
WIDE = {"width": 1440, "height": 900}


@contextmanager
def serve(settings: Settings, given: Mapping[str, str] | None = None) -> Iterator[str]:
    """Serve the page of a home; give its address."""
    port = free_port()
    environment = {
        "PATH": "",
        "TRIAGE_HOME": str(settings.home),
        "TRIAGE_WORKLIST_PORT": str(port),
        **(given or {}),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "worklist"], env=environment, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        status = server.wait()
    assert status == 0


@contextmanager
def browse(address: str, **options: object) -> Iterator[Page]:
    """Open a page of a site; at the end there must be no fault in its console."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with visit(browser, address, **options) as page:
            yield page
        browser.close()


@contextmanager
def visit(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """Open a page in a browser that runs, with options of its own."""
    page = browser.new_page(**({"viewport": WIDE} | options))
    page.set_default_timeout(WITHIN_MS)
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address)
    try:
        yield page
    finally:
        page.close()
    assert faults == [], faults  # a helper's assertion shows no values by itself
