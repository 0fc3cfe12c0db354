import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from schema.database import Database, open_database
from schema.hemorrhage_subtypes import Claim
from schema.settings import Settings
from schema.states import Outcome, SeriesState, StudyState
from schema.tables import Finding, Study
from tests.support import rows
from tests.support.rows import series_row, study_row
from worklist.page import make_app

SCRIPT = "<script>alert(1)</script>"
PAGES = ["/", "/study/1.2.3", "/study/9.9", "/nowhere", "/api/worklist", "/healthz"]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(Settings(home=tmp_path))
    yield opened
    opened.engine.dispose()


class Client:
    """Asks the application itself, without a port."""

    def __init__(self, database: Database, home: Path) -> None:
        app = make_app(database, Settings(home=home))
        self.transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=self.transport, base_url="http://localhost"
        ) as client:
            return await client.get(path)


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Client:
    return Client(database, tmp_path)


def add_study(database: Database, **columns: Any) -> None:
    values: dict[str, Any] = {
        "patient_id": "049",
        "patient_name": "DOE^JANE",
        "received_at": datetime.now(UTC),
        "state": StudyState.DONE,
        "outcome": Outcome.NEGATIVE,
        "priority": 4,
    }
    with database.transaction() as session:
        session.add(study_row(**values | columns))


def lose_the_tables(database: Database) -> None:
    with database.transaction() as session:
        session.execute(sa.text("ALTER TABLE study RENAME TO elsewhere"))


def test_the_list_names_the_patient_as_a_person_reads_it(
    database: Database, client: Client
) -> None:
    add_study(database)
    assert "DOE, JANE" in client.get("/").text


def test_an_empty_list_says_that_nothing_arrived(database: Database, client: Client) -> None:
    rows.show_life(database)
    assert "No study was received yet" in client.get("/").text


@pytest.mark.parametrize("path", ["/", "/wall"])
def test_an_empty_list_of_a_system_that_is_down_is_no_quiet_night(
    database: Database, client: Client, path: str
) -> None:
    rows.show_end(database)
    page = client.get(path).text
    assert "No images arrive" in page
    assert "No study is analysed" in page
    assert "says nothing about the studies" in page
    assert "is unread." not in page
    rows.show_life(database)
    page = client.get(path).text
    assert 'class="warning"' not in page
    assert "is unread." in page


def test_the_api_warns_in_headers_beside_its_array_as_the_page_does(
    database: Database, client: Client
) -> None:
    rows.show_end(database)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    add_study(database, state=StudyState.READY, outcome=None, received_at=long_ago)
    answer, page = client.get("/api/worklist?search=nobody"), client.get("/").text
    warned = answer.headers.get_list("Worklist-Warning")
    assert answer.json() == []
    assert [words[:18] for words in warned] == [
        "No images arrive: ",
        "No study is analys",
        "1 study waits long",
    ]
    assert [words for words in warned if f'role="status">{words}</p>' not in page] == []
    rows.show_life(database)
    assert len(client.get("/api/worklist").headers.get_list("Worklist-Warning")) == 1


@pytest.mark.parametrize("path", ["/", "/wall"])
def test_late_studies_beyond_the_page_are_counted_on_it(
    database: Database, client: Client, path: str
) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    waiting = {"state": StudyState.READY, "outcome": None, "priority": 0}
    for number in range(55):
        add_study(database, study_instance_uid=f"1.{number}", received_at=long_ago, **waiting)
    told = " ".join(client.get(path).text.split())
    assert "55 studies wait longer than 15 min for a result" in told


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("until=7d", "received before"),
        ("since=36h", "received since"),
        ("station=CT9", "scanner CT9"),
        ("search=roe", "search “roe”"),
        ("outcome=positive", "outcome Hemorrhage suspected"),
        ("priority=0", "priority normal place"),
        ("state=ready", "state ready"),
    ],
)
def test_every_filter_is_said_and_can_be_taken_away(
    database: Database, client: Client, asked: str, said: str
) -> None:
    add_study(database, station_name="CT1")
    page = client.get(f"/?{asked}&view=all").text
    assert "Studies may be hidden" in page
    assert said in page
    assert '<a href="/?view=all">' in page
    assert "Studies may be hidden" not in client.get("/?view=all").text


@pytest.mark.parametrize("asked", ["since=36h", "station=CT9"])
def test_a_filter_of_its_own_stands_in_its_control(
    database: Database, client: Client, asked: str
) -> None:
    add_study(database, station_name="CT1")
    value = asked.partition("=")[2]
    assert f'<option selected value="{value}">' in client.get(f"/?{asked}").text


def test_none_found_says_what_it_does_not_exclude(database: Database, client: Client) -> None:
    add_study(database)
    assert "Does not exclude hemorrhage" in client.get("/").text


def test_not_analysed_does_not_say_none_found(database: Database, client: Client) -> None:
    add_study(database, outcome=Outcome.NOT_ANALYSED, priority=0, reason="only a localizer")
    page = client.get("/").text
    assert "Not analysed" in page
    assert "Only a localizer" in page
    assert "None found" not in page


def test_a_study_that_waits_too_long_is_marked(database: Database, client: Client) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    add_study(database, state=StudyState.READY, outcome=None, priority=0, received_at=long_ago)
    assert "Waiting too long" in client.get("/").text


def test_blood_of_no_type_stands_out_as_blood_and_under_no_type(
    database: Database, client: Client
) -> None:
    with database.transaction() as session:
        series = rows.add_series(rows.add_study(session), session)
        job = rows.add_job(series, session, **rows.done(Outcome.POSITIVE, 2))
        session.flush()
        for subtype, claim in (("any", Claim.REPORTED), ("IVH", Claim.NOT_TOLD_APART)):
            values = {"probability": 0.9, "volume_ml": 12.0, "present": True, "claim": claim}
            session.add(Finding(job_id=job.id, subtype=subtype, **values))
    table = client.get("/study/1.2.3").text.partition("What the model says")[2]
    assert '<tr class="present"><th scope="row">Blood in all' in table
    assert '<tr><th scope="row">IVH' in table


def test_three_of_many_gaps_are_named(database: Database, client: Client) -> None:
    gaps = [{"from_mm": 15 * n, "to_mm": 15 * n + 15} for n in range(5)]
    add_study(database, coverage={"from_mm": 0, "to_mm": 75, "share": 0.3, "gaps": gaps})
    page = client.get("/study/1.2.3").text
    assert page.count("; gap from ") == 3
    assert "gap from 30 to 45 mm; 2 more gaps</p>" in page


@pytest.mark.parametrize("path", ["/", "/study/1.2.3", "/study/9.9"])
def test_every_page_says_that_it_is_no_medical_device(
    database: Database, client: Client, path: str
) -> None:
    add_study(database)
    assert "not a medical device" in client.get(path).text


@pytest.mark.parametrize("path", ["/", "/study/1.2.3"])
def test_every_page_shows_when_it_was_refreshed(
    database: Database, client: Client, path: str
) -> None:
    add_study(database)
    assert "Last refreshed <time" in client.get(path).text


@pytest.mark.parametrize("path", ["/", "/study/1.2.3"])
@pytest.mark.parametrize(
    "column",
    ["patient_name", "patient_id", "accession_number", "study_description", "reason", "study_date"],
)
def test_a_script_in_what_a_scanner_wrote_is_escaped(
    database: Database, client: Client, path: str, column: str
) -> None:
    add_study(database, **{column: SCRIPT})
    page = client.get(path).text
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_script_in_a_series_description_is_escaped(database: Database, client: Client) -> None:
    add_study(database)
    with database.transaction() as session:
        study = session.scalars(sa.select(Study)).one()
        study.series.append(
            series_row(description=SCRIPT, state=SeriesState.REJECTED, reason=SCRIPT)
        )
    page = client.get("/study/1.2.3").text
    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 5  # in the timeline, the table and the details


def test_a_script_in_the_address_is_escaped(client: Client) -> None:
    assert "<script>" not in client.get("/study/%3Cscript%3E").text


@pytest.mark.parametrize("path", PAGES)
def test_every_answer_forbids_scripts_but_our_own_files(client: Client, path: str) -> None:
    policy = client.get(path).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "data:" not in policy


@pytest.mark.parametrize("path", PAGES)
def test_no_answer_is_kept_in_a_cache(client: Client, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-store"


def test_the_pages_hold_no_script_and_no_style_of_their_own(
    database: Database, client: Client
) -> None:
    add_study(database)
    pages = client.get("/").text + client.get("/study/1.2.3").text
    assert set(re.findall(r"<script[^>]*>[^<]*", pages)) <= {
        '<script type="module" src="/static/live.js">',
        '<script src="/static/viewer.js" defer>',
    }
    assert "style=" not in pages
    assert not re.search(r"\son[a-z]+=", pages)


def test_the_style_sheet_is_served(client: Client) -> None:
    assert client.get("/static/style.css").headers["content-type"].startswith("text/css")


def test_the_api_answers_the_list(database: Database, client: Client) -> None:
    add_study(database)
    (entry,) = client.get("/api/worklist").json()
    assert entry["study_instance_uid"] == "1.2.3"
    assert entry["outcome"] == "NEGATIVE"


def test_the_api_explains_a_study(database: Database, client: Client) -> None:
    add_study(database)
    explained = client.get("/api/study/1.2.3").json()
    assert (explained["patient_id"], explained["series"]) == ("049", [])


@pytest.mark.parametrize("path", ["/study/9.9", "/api/study/9.9", "/nowhere"])
def test_an_unknown_address_is_not_found(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_page_that_answers_is_healthy(client: Client) -> None:
    assert client.get("/healthz").text == "ok\n"


@pytest.mark.parametrize("path", ["/", "/study/1.2.3", "/api/worklist", "/healthz"])
def test_an_unreadable_database_is_no_empty_list(
    database: Database, client: Client, path: str
) -> None:
    lose_the_tables(database)
    assert client.get(path).status_code == 503


def test_an_unreadable_database_tells_what_to_do(database: Database, client: Client) -> None:
    lose_the_tables(database)
    assert "Read all studies in their normal order" in client.get("/").text


def test_a_state_that_this_version_does_not_know_is_no_empty_list(
    database: Database, client: Client
) -> None:
    add_study(database)
    with database.transaction() as session:
        session.execute(sa.text("UPDATE study SET state = 'FUTURE'"))
    assert client.get("/").status_code == 503


def test_an_answer_about_an_outage_has_the_security_headers(
    database: Database, client: Client
) -> None:
    lose_the_tables(database)
    assert "content-security-policy" in client.get("/").headers
