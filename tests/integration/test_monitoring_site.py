"""What Prometheus learns of the whole site from the tables."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from schema.database import Database, read_clock
from schema.monitoring.outcomes import OutcomeCollector
from schema.monitoring.signs import Part, Sign, give_sign
from schema.monitoring.site import SiteCollector
from schema.settings import Settings
from schema.states import JobState, Outcome, ProcessState, SeriesState, StudyState
from schema.studies import update_study
from schema.tables import Job, Study
from tests.support.rows import add_job, add_series, add_study, done
from worker.lease import claim
from worklist.metrics import metrics_text

UNKNOWN_BROKER = "redis://127.0.0.1:1"


def samples(collector: Collector) -> dict[tuple[str, ...], float]:
    families: list[Metric] = list(collector.collect())
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def site(settings: Settings, database: Database) -> SiteCollector:
    given = {"broker_url": UNKNOWN_BROKER, "study_late_s": 600.0}
    return SiteCollector(settings.model_copy(update=given), database)


def ended(session: Session, outcome: Outcome, uid: str = "1.2.3") -> Study:
    """Add a study that ends now; give it."""
    now = read_clock(session)
    study = add_study(session, uid)
    study.station_name, study.received_at = "CT1", now - timedelta(seconds=100)
    series = add_series(study, session)
    series.first_instance_at = now - timedelta(seconds=100)
    series.last_instance_at = now - timedelta(seconds=70)
    job = add_job(series, session, take_overs=1, **done(outcome, 1))
    job.created_at, job.dispatched_at = now - timedelta(seconds=60), now - timedelta(seconds=59)
    job.started_at, job.finished_at = now - timedelta(seconds=40), now
    update_study(session, study)
    return study


def test_an_outcome_is_counted_once_with_its_station(database: Database) -> None:
    collector = OutcomeCollector(database)
    samples(collector)
    with database.transaction() as session:
        ended(session, Outcome.POSITIVE)
    for _ in range(2):
        found = samples(collector)
        assert found["triage_results_total", "CT1", "POSITIVE"] == 1
        assert found["triage_lease_take_overs_total",] == 1
        assert found["triage_result_seconds_count",] == 1


@pytest.mark.parametrize(
    ("later", "results"),
    [(done(Outcome.NEGATIVE, 4), 1), (done(Outcome.POSITIVE, 1, measured={"total_ml": 40}), 2)],
)
@pytest.mark.parametrize("passed", [timedelta(0), timedelta(hours=5)])
def test_a_series_that_ends_later_is_a_result_only_where_it_is_the_one_that_is_shown(
    database: Database, later: dict[str, object], results: int, passed: timedelta
) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        study_id = ended(session, Outcome.POSITIVE).id
    samples(collector)
    collector._forget(datetime.now(UTC) + passed)
    with database.transaction() as session:
        series = add_series(session.get_one(Study, study_id), session)
        add_job(series, session, **later | {"finished_at": read_clock(session)})
    found = samples(collector)
    assert found["triage_results_total", "CT1", "POSITIVE"] == results
    assert found["triage_result_seconds_count",] == 1


def test_the_way_to_a_result_is_that_to_the_first(database: Database) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        study = ended(session, Outcome.NEGATIVE)
        ended_at = read_clock(session) + timedelta(seconds=30)
        later = done(Outcome.POSITIVE, 1, finished_at=ended_at)
        add_job(add_series(study, session), session, **later)
    found = samples(collector)
    assert found["triage_result_seconds_sum",] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("look", "training"),
    [
        ({"unlike": {"is_high": True}}, "unlike"),
        ({"unlike": {"is_high": False}}, "like"),
        ({"unlike": None}, "not measured"),
        ({"noise_hu": 4.0}, "not measured"),
        (None, "not measured"),
    ],
    ids=["unlike", "like", "a card without ranges", "an older worker", "no look"],
)
def test_what_was_analysed_is_counted_by_likeness_and_station(
    database: Database, look: dict[str, object] | None, training: str
) -> None:
    collector = OutcomeCollector(database)
    samples(collector)
    with database.transaction() as session:
        ended(session, Outcome.NEGATIVE).series[0].jobs[0].look = look
    for _ in range(2):
        found = samples(collector)
        assert found["triage_likeness_total", "CT1", training] == 1


def test_a_study_is_compared_by_the_newest_images_of_its_series(database: Database) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        study = ended(session, Outcome.NEGATIVE)
        series = study.series[0]
        series.jobs[0].look = {"unlike": {"is_high": True}}
        series.revision = 2
        add_job(series, session, look={"unlike": {"is_high": False}}, **done(Outcome.NEGATIVE, 4))
        study.finished_at = read_clock(session)
    found = samples(collector)
    assert found["triage_likeness_total", "CT1", "like"] == 1
    assert found["triage_likeness_total", "CT1", "unlike"] == 0


def test_what_was_not_analysed_is_compared_with_nothing(database: Database) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        ended(session, Outcome.NOT_ANALYSED)
    assert [key for key in samples(collector) if key[0] == "triage_likeness_total"] == []


def test_each_stretch_of_the_way_is_timed(database: Database) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        ended(session, Outcome.NEGATIVE)
    found = samples(collector)
    took = {hop: found["triage_hop_seconds_sum", hop] for hop in ("sent", "complete", "claimed")}
    assert took == pytest.approx({"sent": 30, "complete": 10, "claimed": 19}, abs=0.1)
    assert found["triage_hop_seconds_sum", "analysed"] == pytest.approx(40, abs=0.1)
    assert found["triage_result_seconds_sum",] == pytest.approx(100, abs=0.1)


def test_a_study_that_a_reader_acknowledges_is_no_second_result(database: Database) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        study_id = ended(session, Outcome.POSITIVE).id
    samples(collector)
    with database.transaction() as session:
        session.get_one(Study, study_id).acknowledged_at = read_clock(session)
    assert samples(collector)["triage_results_total", "CT1", "POSITIVE"] == 1


@pytest.mark.parametrize(
    ("outcome", "reason", "cause"),
    [
        (Outcome.NOT_ANALYSED, "series 2: a knee", "unsuitable pixels"),
        (Outcome.FAILED, "given up after 3 attempts: the worker died in it", "worker died"),
    ],
)
def test_what_was_not_analysed_is_counted_by_cause(
    database: Database, outcome: Outcome, reason: str, cause: str
) -> None:
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        study = ended(session, outcome)
        study.reason = reason
    assert samples(collector)["triage_unanalysed_total", cause] == 1


def test_many_stations_become_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.monitoring.outcomes.MOST_STATIONS", 1)
    collector = OutcomeCollector(database)
    with database.transaction() as session:
        for number in range(3):
            ended(session, Outcome.NEGATIVE, f"1.2.{number}").station_name = f"CT{number}"
    stations = {key[1] for key in samples(collector) if key[0] == "triage_results_total"}
    assert len(stations) == 2
    assert "(others)" in stations


def test_what_was_received_and_has_not_ended_is_counted_and_late_ones_too(
    site: SiteCollector, database: Database
) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        for number, minutes in enumerate((1, 20)):
            study = add_study(session, f"1.2.{number}")
            study.received_at = now - timedelta(minutes=minutes)
            series = add_series(study, session, state=SeriesState.RECEIVING)
            series.last_instance_at = study.received_at
        ended(session, Outcome.NEGATIVE)
    found = samples(site)
    assert (found["triage_open_studies",], found["triage_late_studies",]) == (2, 1)
    assert found["triage_oldest_open_study_seconds",] == pytest.approx(1200, abs=5)
    assert found["triage_oldest_undecided_series_seconds",] == pytest.approx(1200, abs=5)


def test_a_study_in_which_a_job_was_just_made_is_not_late(
    site: SiteCollector, database: Database
) -> None:
    with database.transaction() as session:
        study = add_study(session)
        job = add_job(add_series(study, session), session)
        job.created_at = read_clock(session)
        assert study.state == StudyState.READY
    assert samples(site)["triage_late_studies",] == 0


def ended_before(session: Session, passed: timedelta) -> Study:
    """Add a study that was called so long ago."""
    study = ended(session, Outcome.POSITIVE)
    (job,) = study.series[0].jobs
    job.finished_at = read_clock(session) - passed
    update_study(session, study)
    return study


@pytest.mark.parametrize("later", [{}, done(Outcome.NEGATIVE, 4), done(Outcome.POSITIVE, 2)])
def test_a_positive_grows_old_whatever_comes_after_it(
    site: SiteCollector, database: Database, later: dict[str, object]
) -> None:
    with database.transaction() as session:
        study = ended_before(session, timedelta(minutes=30))
        ended_at = {"finished_at": read_clock(session)} if later else {}
        add_job(add_series(study, session), session, **later | ended_at)
    assert samples(site)["triage_oldest_unseen_positive_seconds",] == pytest.approx(1800, abs=5)
    assert "triage_oldest_unread_critical_seconds 180" in metrics_text(database)


def test_of_a_study_that_was_seen_only_what_is_newer_grows_old(
    site: SiteCollector, database: Database
) -> None:
    with database.transaction() as session:
        study = ended_before(session, timedelta(minutes=30))
        now = read_clock(session)
        study.acknowledged_at = now - timedelta(minutes=20)
        control = done(Outcome.POSITIVE, 1, finished_at=now - timedelta(minutes=10))
        add_job(add_series(study, session), session, **control)
    assert samples(site)["triage_oldest_unseen_positive_seconds",] == pytest.approx(600, abs=5)


def test_a_positive_that_nobody_saw_grows_old(site: SiteCollector, database: Database) -> None:
    with database.transaction() as session:
        study_id = ended_before(session, timedelta(minutes=30)).id
    assert samples(site)["triage_oldest_unseen_positive_seconds",] == pytest.approx(1800, abs=5)
    with database.transaction() as session:
        session.get_one(Study, study_id).acknowledged_at = read_clock(session)
    assert samples(site)["triage_oldest_unseen_positive_seconds",] == 0


def test_parts_are_counted_by_host_and_condition(site: SiteCollector, database: Database) -> None:
    with database.transaction() as session:
        give_sign(session, Sign(Part.TRIAGE, ProcessState.FAILED, "no model"))
    (found,) = [key for key in samples(site) if key[0] == "triage_processes"]
    assert (found[1], found[3]) == ("triage", "failed")


def test_a_broker_that_is_away_is_told(site: SiteCollector) -> None:
    assert samples(site)["triage_broker_up",] == 0


def test_a_job_counts_its_take_overs(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        job_id = add_job(add_series(add_study(session), session), session).id
    assert claim(database, job_id, settings)
    with database.transaction() as session:
        job = session.get_one(Job, job_id)
        assert (job.state, job.take_overs) == (JobState.RUNNING, 0)
        job.lease_until = read_clock(session) - timedelta(seconds=1)
    assert claim(database, job_id, settings)
    with database.reading() as session:
        assert session.get_one(Job, job_id).take_overs == 1
