"""A head of a scanner that the shipped model never saw: stored, shown, reported and counted."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from schema.database import Database, open_database
from schema.monitoring.outcomes import OutcomeCollector
from schema.settings import Settings
from schema.tables import Job
from tests.support.phantoms import ThresholdPredictor
from tests.support.readings import read_study, sample
from worker.munet.checkpoint import SHIPPED, read_card
from worklist.explaining import read_explanation
from worklist.page import make_app
from worklist.queries import read_worklist
from worklist.serialization import explanation_json
from worklist.text import print_explanation

SAID = "density of brain 28.1 HU, where that has 31.0 to 36.3 HU (score 0.6)"


@dataclass(frozen=True)
class Site:
    """A database with one study in it, which the counters have seen end."""

    settings: Settings
    database: Database
    uid: str
    counted: dict[tuple[str, ...], float]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    settings = Settings(_env_file=None, home=tmp_path_factory.mktemp("home"))
    database = open_database(settings)
    counter = OutcomeCollector(database)
    list(counter.collect())
    predictor = ThresholdPredictor()
    predictor.card.measured = read_card(SHIPPED).measured
    uid = read_study(settings, database, sample("ge-tilted"), predictor)
    samples = [found for family in counter.collect() for found in family.samples]
    counted = {(found.name, *found.labels.values()): found.value for found in samples}
    yield Site(settings, database, uid, counted)
    database.engine.dispose()


def the_job(site: Site) -> Job:
    with site.database.reading() as session:
        return session.scalars(sa.select(Job)).one()


def test_the_score_is_stored_with_the_result(site: Site) -> None:
    job = the_job(site)
    assert job.look is not None
    unlike: dict[str, Any] = job.look["unlike"]
    assert unlike["is_high"]
    assert (unlike["measure"], unlike["value"]) == ("brain_hu", 28.13)
    assert unlike["score"] > unlike["bar"] > 0
    assert unlike["not_measured"] == []


def test_the_list_the_page_and_the_json_say_it(site: Site) -> None:
    (entry,) = read_worklist(site.database, site.settings.storage).entries
    assert entry.unlike_training is not None
    assert entry.unlike_training.words == SAID
    assert "unlike the training data: density of brain" in page(site, "/")
    assert f"Unlike the training data: {SAID}" in page(site, f"/study/{site.uid}")


def test_explain_says_in_what_and_by_how_much(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    explanation = read_explanation(site.database, site.settings.storage, site.uid)
    assert explanation is not None
    assert explanation_json(explanation)["unlike_training"]["words"] == SAID
    print_explanation(explanation)
    said = " ".join(capsys.readouterr().out.split())
    assert "unlike the training data: density of brain" in said
    assert "unlike.measure=brain_hu, unlike.value=28.13" in said


def test_the_report_names_it_among_the_limits(site: Site) -> None:
    with site.database.reading() as session:
        (path,) = {
            written.path
            for written in session.scalars(sa.select(Job)).one().objects
            if written.kind == "SR" and written.audience != "triage"
        }
    report = (site.settings.storage / path).read_bytes()
    assert f"unlike the training data: {SAID}".encode() in report


def test_it_is_counted_for_its_station(site: Site) -> None:
    assert site.counted["triage_likeness_total", "", "unlike"] == 1
    assert site.counted["triage_likeness_total", "", "like"] == 0


def page(site: Site, path: str) -> str:
    app = make_app(site.database, site.settings)

    async def ask() -> str:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.get(path)).text

    return asyncio.run(ask())
