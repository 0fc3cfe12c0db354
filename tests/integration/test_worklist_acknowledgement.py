"""What readers do with a result, and what becomes of what nobody saw."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.catalogue.reopening import reopen
from schema.database import Database, open_database, read_clock, upgrade
from schema.hemorrhage_subtypes import Claim
from schema.settings import Settings
from schema.states import JobState, Outcome
from schema.studies import lock_study_of_job, update_study
from schema.tables import Finding, Job, Study, StudyEvent
from tests.support.pages import Browser
from tests.support.postgresql import waits_for_a_lock
from tests.support.processes import wait_for
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, done
from trainer.experiments.verdicts import Verdict as TrainersVerdict
from trainer.experiments.verdicts import read_verdicts
from worklist.acknowledgement import UNREAD_CRITICAL, ReadingError, acknowledge, escalate
from worklist.export import as_csv, read_all
from worklist.formatting import iso
from worklist.page import make_app
from worklist.serialization import verdicts_json


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """SQLite unless told otherwise, with one critical study."""
    settings = Settings(home=tmp_path)
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("new_postgresql_url")
        settings = Settings(home=tmp_path, database_url=url)
        upgrade(settings)
    opened = open_database(settings)
    with opened.transaction() as session:
        add_job(add_series(add_study(session), session), session, **done(Outcome.POSITIVE, 1))
    yield opened
    opened.engine.dispose()


@pytest.fixture
def page(database: Database, tmp_path: Path) -> Browser:
    return Browser(make_app(database, Settings(home=tmp_path)))


def disagree(page: Browser, **form: str) -> int:
    given = {"agrees": "no", "cause": "CALCIFICATION", "comment": "=plexus", "next": "/"}
    return page.post("/study/1.2.3/verdict", given | form).status_code


def unread(page: Browser) -> bool:
    (entry,) = page.get("/api/worklist?view=all").json()
    return bool(entry["unread"])


def test_what_was_seen_is_read_and_says_by_whom(page: Browser) -> None:
    assert page.post("/study/1.2.3/acknowledge", {"next": "/?view=all"}).status_code == 303
    assert not unread(page)
    assert "seen by local" in page.get("/?view=all").text


def test_seen_can_be_taken_back(page: Browser) -> None:
    page.post("/api/study/1.2.3/acknowledge", {})
    page.post("/api/study/1.2.3/take-back", {})
    assert unread(page)


@pytest.mark.parametrize("name", ["25%2F1807", "25/1807", "25%2f1807"])
def test_an_accession_number_may_have_a_slash(page: Browser, database: Database, name: str) -> None:
    with database.transaction() as session:
        session.scalars(sa.select(Study)).one().accession_number = "25/1807"
    for root in ("", "/api"):
        assert page.get(f"{root}/study/{name}").status_code == 200
    assert page.post(f"/study/{name}/acknowledge", {}).status_code == 303
    assert not unread(page)
    assert page.post(f"/api/study/{name}/take-back", {}).status_code == 200
    assert unread(page)
    answer = page.post(f"/api/study/{name}/verdict", {"agrees": "yes"})
    assert answer.json() == {"done": "agreed"}
    assert page.get(f"/api/study/{name}/acknowledge").status_code == 404


def test_a_study_without_result_cannot_be_seen(database: Database) -> None:
    with database.transaction() as session:
        waiting = add_study(session, "1.9")
        with pytest.raises(ReadingError):
            acknowledge(session, waiting, "reader")


def test_late_images_make_a_study_unread_again(page: Browser, database: Database) -> None:
    page.post("/study/1.2.3/acknowledge", {})
    with database.transaction() as session:
        study = session.scalars(sa.select(Study)).one()
        reopen(study.series[0])
        update_study(session, study)
    assert unread(page)
    assert "More images are arriving" in page.get("/").text


def result_on(page: Browser, path: str) -> str:
    found = re.search(r'name="result" value="([^"]+)"', page.get(path).text)
    assert found
    return found[1]


@pytest.mark.parametrize("shown_on", ["/", "/study/1.2.3"])
@pytest.mark.parametrize("said", ["acknowledge", "verdict"])
def test_a_newer_result_than_the_one_on_the_readers_page_stays_unread(
    page: Browser, database: Database, shown_on: str, said: str
) -> None:
    form = {"agrees": "yes", "result": result_on(page, shown_on)}
    with database.transaction() as session:
        session.scalars(sa.select(Study)).one().finished_at = datetime.now(UTC)
    answer = page.post(f"/study/1.2.3/{said}", form)
    assert answer.status_code == 409
    assert "newer result" in answer.text
    assert unread(page)
    assert read_all(database) == []


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # SQLite has one writer
@pytest.mark.parametrize("said", ["acknowledge", "verdict"])
def test_a_result_that_is_stored_while_a_reader_clicks_stays_unread(
    page: Browser, database: Database, said: str
) -> None:
    add_sibling(database, state=JobState.RUNNING)
    form = {"agrees": "yes", "result": result_on(page, "/")}
    with ThreadPoolExecutor(1) as reader:
        with database.transaction() as session:
            running = session.scalars(sa.select(Job).where(Job.state == JobState.RUNNING)).one()
            lock_study_of_job(session, running.id)
            for name, value in done(Outcome.POSITIVE, 1, finished_at=read_clock(session)).items():
                setattr(running, name, value)
            update_study(session, running.series.study)
            session.flush()
            click = reader.submit(page.post, f"/study/1.2.3/{said}", form)
            wait_for("click that waits", lambda: waits_for_a_lock(database))
        assert click.result().status_code == 409
    assert unread(page)
    assert read_all(database) == []


def test_the_result_on_the_readers_page_is_the_one_that_is_seen(page: Browser) -> None:
    form = {"result": result_on(page, "/"), "next": "/"}
    assert page.post("/study/1.2.3/acknowledge", form).status_code == 303
    assert not unread(page)


def test_a_disagreement_is_stored_with_who_and_why(page: Browser, database: Database) -> None:
    assert disagree(page) == 303
    (verdict,) = read_all(database)
    assert (verdict.agrees, verdict.cause, verdict.given_by) == (False, "CALCIFICATION", "local")
    assert (verdict.outcome, verdict.study_instance_uid) == (Outcome.POSITIVE, "1.2.3")


def test_whoever_judges_has_seen(page: Browser) -> None:
    disagree(page)
    assert not unread(page)


@pytest.mark.parametrize("form", [{"cause": ""}, {"cause": "BOREDOM"}, {"agrees": "perhaps"}])
def test_an_opinion_that_is_none_is_refused(
    page: Browser, database: Database, form: dict[str, str]
) -> None:
    assert disagree(page, **form) == 400
    assert read_all(database) == []


def test_an_agreement_with_a_cause_to_disagree_is_refused(
    page: Browser, database: Database
) -> None:
    missed = {"agrees": "yes", "cause": "MISSED_BLEED"}
    answer = page.post("/study/1.2.3/verdict", missed)
    assert answer.status_code == 400
    assert "Nothing was stored: disagree" in answer.text
    assert list(read_all(database)) == []
    assert unread(page)


def test_the_trainer_gets_verdicts_as_json(page: Browser) -> None:
    disagree(page)
    (given,) = page.get("/api/verdicts").json()
    assert given["cause"] == "CALCIFICATION"
    assert given["job_id"] is not None
    assert "Phantom" not in json.dumps(given)


def test_a_comment_cannot_run_in_a_spreadsheet(page: Browser, database: Database) -> None:
    disagree(page)
    assert "'=plexus" in as_csv(read_all(database))


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_the_trainer_reads_what_is_exported(
    page: Browser, database: Database, tmp_path: Path, suffix: str
) -> None:
    with database.transaction() as session:
        job = session.scalars(sa.select(Job)).one()
        job.findings = [Finding(subtype="any", probability=0.75, volume_ml=3.0, present=True,
                                claim=Claim.REPORTED)]  # fmt: skip
    disagree(page)
    exported = tmp_path / f"verdicts.{suffix}"
    found = read_all(database)
    exported.write_text(as_csv(found) if suffix == "csv" else json.dumps(verdicts_json(found)))
    assert read_verdicts(exported) == [TrainersVerdict(0.75, bleeds=False)]


def test_the_performance_page_sums_them_up(page: Browser) -> None:
    disagree(page)
    assert "0 of 1" in page.get("/performance").text


def escalated(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.scalars(sa.select(StudyEvent.kind)))


def test_a_critical_study_that_nobody_saw_is_called_out_once(
    page: Browser, database: Database
) -> None:
    assert [escalate(database, timedelta(minutes=15)) for _ in range(2)] == [1, 0]
    assert escalated(database) == [UNREAD_CRITICAL]
    assert "not seen yet" in page.get("/").text
    assert "triage_escalations_total 1" in page.get("/metrics").text


def test_a_study_that_was_seen_is_not_called_out(page: Browser, database: Database) -> None:
    page.post("/study/1.2.3/acknowledge", {})
    assert escalate(database, timedelta(0)) == 0


def test_a_fresh_result_is_not_called_out(database: Database) -> None:
    with database.transaction() as session:
        session.scalars(sa.select(Job)).one().finished_at = read_clock(session)
    assert escalate(database, timedelta(minutes=15)) == 0


def add_sibling(database: Database, **job: object) -> None:
    """Add a series to the study, whose job waits unless told otherwise."""
    with database.transaction() as session:
        study = session.scalars(sa.select(Study)).one()
        add_job(add_series(study, session), session, **job)


def test_a_critical_result_is_called_out_heard_and_seen_while_another_series_waits(
    page: Browser, database: Database
) -> None:
    add_sibling(database)
    text = page.get("/").text
    assert f'data-newest="{iso(LONG_AGO)}"' in text
    assert escalate(database, timedelta(minutes=15)) == 1
    page.post("/study/1.2.3/acknowledge", {"result": result_on(page, "/")})
    assert not unread(page)


def test_a_critical_result_that_was_seen_is_not_called_out_since_more_images_come(
    page: Browser, database: Database
) -> None:
    page.post("/study/1.2.3/acknowledge", {})
    add_sibling(database)
    assert unread(page)
    assert escalate(database, timedelta(0)) == 0


def test_a_later_critical_result_is_called_out_again(page: Browser, database: Database) -> None:
    assert escalate(database, timedelta(minutes=15)) == 1
    page.post("/study/1.2.3/acknowledge", {})
    with database.reading() as session:
        now = read_clock(session)
    add_sibling(database, **done(Outcome.POSITIVE, 1, finished_at=now))
    assert escalate(database, timedelta(minutes=15)) == 0
    assert escalate(database, timedelta(0)) == 1


def test_a_row_is_not_called_unseen_for_what_somebody_saw(
    page: Browser, database: Database
) -> None:
    escalate(database, timedelta(minutes=15))
    assert "not seen yet" in page.get("/").text
    page.post("/study/1.2.3/acknowledge", {})
    add_sibling(database, **done(Outcome.NEGATIVE, 4, finished_at=datetime.now(UTC)))
    assert unread(page)
    assert "not seen yet" not in page.get("/").text


def test_a_series_that_ends_later_with_less_neither_sounds_nor_delays_the_call(
    page: Browser, database: Database
) -> None:
    add_sibling(database, **done(Outcome.NEGATIVE, 4, finished_at=datetime.now(UTC)))
    assert f'data-newest="{iso(LONG_AGO)}"' in page.get("/").text
    assert escalate(database, timedelta(minutes=15)) == 1


def test_a_verdict_while_another_series_waits_is_about_the_result_that_is_there(
    page: Browser, database: Database
) -> None:
    add_sibling(database)
    disagree(page)
    assert read_all(database)[0].outcome is Outcome.POSITIVE
