"""The pages of a running part, as a probe and Prometheus ask for them."""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from schema.errors import SettingsError
from schema.monitoring.pages import Pages, open_pages
from schema.monitoring.signs import Model, Part


class Standing(SimpleNamespace):
    """A part that lacks what a test says."""

    part = Part.TRIAGE
    model = Model("munet 1.2", "a" * 64)
    missing: Mapping[str, str] = {}


@pytest.fixture
def life() -> Standing:
    return Standing()


@pytest.fixture
def pages(life: Standing) -> Iterator[Pages]:
    opened = open_pages("TRIAGE_METRICS_PORT", "127.0.0.1", 0, life, CollectorRegistry())
    assert opened is not None
    yield opened
    opened.close()


def get(pages: Pages, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{pages.port}{path}")


def test_a_part_that_lacks_nothing_is_ready(pages: Pages) -> None:
    assert (get(pages, "/ready").status_code, get(pages, "/ready").text) == (200, "ready\n")


def test_a_part_that_is_not_ready_says_what_it_lacks_and_lives(
    pages: Pages, life: Standing
) -> None:
    life.missing = {"storage": "not mounted", "model": "no slice yet"}
    answer = get(pages, "/ready")
    assert answer.status_code == 503
    assert answer.text == "storage: not mounted\nmodel: no slice yet\n"
    assert get(pages, "/health").status_code == 200


def test_prometheus_learns_what_the_part_is_and_whether_it_is_ready(
    pages: Pages, life: Standing
) -> None:
    life.missing = {"storage": "not mounted"}
    text = get(pages, "/metrics").text
    samples = {
        (sample.name, sample.labels["part"]): sample
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["triage_ready", "triage"].value == 0
    assert samples["triage_part_info", "triage"].labels["model"] == "munet 1.2"


def test_another_address_says_where_the_pages_are(pages: Pages) -> None:
    assert get(pages, "/").status_code == 404


def test_pages_are_off_unless_a_port_is_set(life: Standing) -> None:
    assert open_pages("TRIAGE_METRICS_PORT", "", None, life, CollectorRegistry()) is None


def test_a_port_that_is_taken_is_one_line_that_names_the_setting(
    pages: Pages, life: Standing
) -> None:
    with pytest.raises(SettingsError, match="TRIAGE_METRICS_PORT: cannot listen"):
        open_pages("TRIAGE_METRICS_PORT", "127.0.0.1", pages.port, life, CollectorRegistry())


def test_an_address_of_ipv6_is_taken(life: Standing) -> None:
    opened = open_pages("TRIAGE_METRICS_PORT", "::1", 0, life, CollectorRegistry())
    assert opened is not None
    assert httpx.get(f"http://[::1]:{opened.port}/health").text == "ok\n"
    opened.close()
