from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from schema.database import Database, open_database, upgrade
from schema.errors import DatabaseUnavailableError
from schema.monitoring.open_studies import reconcile
from schema.monitoring.signs import Part
from schema.settings import Settings
from schema.states import JobState, Outcome, SeriesState, StudyState
from schema.tables import Finding, Instance, Job, ResultObject, Series, Study
from tests.support.rows import series_row, show_end, show_life, study_row
from worklist.entries import Entry
from worklist.explaining import read_explanation
from worklist.explanation import Explanation
from worklist.opening import open_to_read
from worklist.queries import read_worklist
from worklist.window import LATE, Place, View, Window

STORAGE = Path("/storage")
SUBTYPES = ("SDH", "SAH", "IVH", "IPH", "EDH", "any")


def now() -> datetime:
    """The moment of a call: a run of all tests takes longer than a study may wait."""
    return datetime.now(UTC)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """SQLite, which takes a moment; what depends on the dialect asks for both."""
    settings = Settings(home=tmp_path)
    if getattr(request, "param", "sqlite") == "postgresql":
        url = request.getfixturevalue("new_postgresql_url")
        settings = Settings(home=tmp_path, database_url=url)
        upgrade(settings)
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


def make_study(uid: str = "1.2.3", *series: Series, **columns: Any) -> Study:
    values: dict[str, Any] = {
        "patient_id": "049",
        "patient_name": "DOE^JANE",
        "received_at": now() - timedelta(minutes=2),
        "state": StudyState.DONE,
        "outcome": Outcome.POSITIVE,
        "priority": 1,
        "model": "munet",
    }
    return study_row(study_instance_uid=uid, series=list(series), **values | columns)


def make_series(uid: str = "1.2.3.1", *jobs: Job, **columns: Any) -> Series:
    values: dict[str, Any] = {
        "first_instance_at": now() - timedelta(minutes=2),
        "last_instance_at": now() - timedelta(minutes=1),
        "score": 0.9,
    }
    return series_row(series_instance_uid=uid, jobs=list(jobs), **values | columns)


def make_job(revision: int = 1, volume_ml: float = 31.0, **columns: Any) -> Job:
    values: dict[str, Any] = {
        "state": JobState.DONE,
        "outcome": Outcome.POSITIVE,
        "priority": 1,
        "created_at": now(),
        "due_at": now(),
    }
    findings = [
        Finding(subtype=name, probability=0.9, volume_ml=volume_ml, present=True)
        for name in SUBTYPES
    ]
    seg = ResultObject(kind="SEG", sop_instance_uid="1.9", path="results/a.dcm", sha256="0" * 64)
    return Job(revision=revision, findings=findings, objects=[seg], **values | columns)


def make_instance(uid: str, version: int = 1) -> Instance:
    return Instance(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        version=version,
        path=f"{uid}-{version}",
        size_bytes=1,
        sha256="0" * 64,
        received_at=now(),
    )


def listed(database: Database, *studies: Study) -> tuple[Entry, ...]:
    with database.transaction() as session:
        session.add_all(studies)
    return read_worklist(database, STORAGE).entries


def only(database: Database, study: Study) -> Entry:
    (entry,) = listed(database, study)
    return entry


def explained(database: Database, study: Study) -> Explanation:
    with database.transaction() as session:
        session.add(study)
    found = read_explanation(database, STORAGE, "1.2.3")
    assert found is not None
    return found


def test_no_study_is_an_empty_list(database: Database) -> None:
    assert listed(database) == ()


def test_the_most_urgent_study_is_first(database: Database) -> None:
    entries = listed(database, make_study("1.1", priority=4), make_study("1.2", priority=1))
    assert [entry.study_instance_uid for entry in entries] == ["1.2", "1.1"]


def uids(database: Database, **asked: Any) -> list[str]:
    entries = read_worklist(database, STORAGE, Window(**asked)).entries
    return [entry.study_instance_uid for entry in entries]


def seen(uid: str, **columns: Any) -> Study:
    ended = now() - timedelta(hours=30)
    return make_study(
        uid, finished_at=ended, acknowledged_at=ended + timedelta(minutes=5), **columns
    )


def test_of_two_equally_urgent_studies_the_newer_is_first(database: Database) -> None:
    listed(database, make_study("1.1", received_at=now() - timedelta(hours=1)), make_study("1.2"))
    assert uids(database) == ["1.2", "1.1"]


def test_none_found_and_not_analysed_stand_together_by_arrival(database: Database) -> None:
    levels = [0, 4, 0, 3]
    studies = [
        make_study(f"1.{n}", priority=level, received_at=now() - timedelta(minutes=n))
        for n, level in enumerate(levels)
    ]
    listed(database, *studies)
    assert uids(database) == ["1.3", "1.0", "1.1", "1.2"]


def test_a_critical_study_that_was_seen_stands_below_what_nobody_saw(database: Database) -> None:
    listed(database, seen("1.1", priority=1), make_study("1.2", priority=4))
    assert uids(database) == ["1.2", "1.1"]


@both
def test_what_was_seen_long_ago_is_one_click_away(database: Database) -> None:
    listed(database, seen("1.1", received_at=now() - timedelta(days=2)), make_study("1.2"))
    assert uids(database) == ["1.2"]
    assert uids(database, view=View.ALL) == ["1.2", "1.1"]


def test_what_is_unread_never_leaves_however_old(database: Database) -> None:
    listed(database, make_study("1.1", received_at=now() - timedelta(days=400)))
    assert uids(database, view=View.UNREAD) == uids(database) == ["1.1"]


@both
def test_a_result_that_is_newer_than_what_was_seen_is_unread(database: Database) -> None:
    study = seen("1.1")
    study.finished_at = now()
    assert only(database, study).unread


def test_a_study_that_was_opened_again_is_unread(database: Database) -> None:
    study = seen("1.1")
    study.state, study.finished_at = StudyState.READY, None
    assert only(database, study).unread


@pytest.mark.parametrize("word", ["jan", "DOE jane", "04", "a1", "A1 doe", "DOE, JANE", "jane^doe"])
def test_a_search_finds_parts_of_name_id_and_accession(database: Database, word: str) -> None:
    listed(database, make_study("1.1"))
    assert uids(database, search=word) == ["1.1"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MÜLLER^JÜRGEN", ("müller", "Müller", "JÜRGEN müller", "Mu\u0308ller")),
        ("Weiß^Eva", ("WEISS", "weiß")),
        ("ИВАНОВ^ПЁТР", ("Иванов", "пётр")),
        ("Łukasz^Żaneta", ("ŁUKASZ", "żaneta")),
        ("山田\u3000太郎=ﾔﾏﾀﾞ", ("山田", "山田\u3000太郎", "ヤマダ")),
        ("नेहा^क्\u200dष", ("नेहा क्ष",)),
        ("DOE^JANE", ("\uff44\uff4f\uff45", "\uff10\uff14\uff19")),
        # Four bytes each that do not compress, as many as a name may have.
        ("".join(chr(0x20000 + number * 7919 % 40000) for number in range(256)), ("\U00020000",)),
    ],
)  # fmt: skip
@both
def test_a_search_finds_letters_of_any_script(
    database: Database, name: str, words: tuple[str, ...]
) -> None:
    listed(
        database,
        make_study("1.1", patient_name=name),
        make_study("1.2", patient_name="ROE", patient_id="7"),
    )
    assert [uids(database, search=word, outcome=None) for word in words] == [["1.1"]] * len(words)


def test_a_name_that_is_put_right_is_found_by_what_it_is_now(database: Database) -> None:
    study = make_study("1.1", patient_name="MÜLLER^EVA")
    listed(database, study)
    with database.transaction() as session:
        session.get_one(Study, study.id).patient_name = "JÄGER^EVA"
    assert (uids(database, search="jäger"), uids(database, search="müller")) == (["1.1"], [])


@pytest.mark.parametrize("word", ["%", "_", "roe", "doe roe"])
def test_a_search_finds_nothing_else(database: Database, word: str) -> None:
    listed(database, make_study("1.1"))
    assert uids(database, search=word) == []


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"outcome": Outcome.FAILED}, ["1.2"]),
        ({"priority": 1}, ["1.1"]),
        ({"state": StudyState.RUNNING}, ["1.3"]),
        ({"station": "CT2"}, ["1.2"]),
        ({"since": timedelta(minutes=30)}, ["1.1"]),
        ({"until": timedelta(minutes=30)}, ["1.3", "1.2"]),
    ],
)
def test_a_filter_leaves_what_meets_it(
    database: Database, filters: dict[str, Any], found: list[str]
) -> None:
    hours = [timedelta(hours=number) for number in range(3)]
    listed(
        database,
        make_study("1.1"),
        make_study(
            "1.2",
            outcome=Outcome.FAILED,
            priority=0,
            station_name="CT2",
            received_at=now() - hours[2],
        ),
        make_study(
            "1.3", state=StudyState.RUNNING, outcome=None, priority=3, received_at=now() - hours[1]
        ),
    )
    moments = {
        name: now() - value if isinstance(value, timedelta) else value
        for name, value in filters.items()
    }
    assert uids(database, **moments) == found


@both
@pytest.mark.parametrize("view", list(View))
def test_pages_hold_every_study_once_in_one_order(database: Database, view: View) -> None:
    same = now() - timedelta(minutes=3)
    studies = [make_study(f"1.{n}", priority=n % 5, received_at=same) for n in range(9)]
    listed(database, *studies, *(seen(f"2.{n}", received_at=same) for n in range(4)))
    whole, pages, after = uids(database, view=view), [], None
    while True:
        page = read_worklist(database, STORAGE, Window(view=view, limit=3, after=after))
        pages += [entry.study_instance_uid for entry in page.entries]
        if page.after is None:
            break
        after = Place.read(page.after.written())
    assert pages == whole
    assert len(whole) == (9 if view is View.UNREAD else 13)


def test_unread_critical_studies_are_counted_in_all(database: Database) -> None:
    listed(
        database, make_study("1.1"), make_study("1.2"), seen("1.3"), make_study("1.4", priority=2)
    )
    worklist = read_worklist(database, STORAGE, Window(limit=1))
    assert (worklist.unread_critical, worklist.unread) == (2, 3)


def test_findings_stand_in_the_order_of_the_contract(database: Database) -> None:
    entry = only(database, make_study("1.2.3", make_series("1.2.3.1", make_job())))
    names = [finding.subtype for finding in entry.findings]
    assert names == ["any", "EDH", "IPH", "IVH", "SAH", "SDH"]


def test_the_path_of_an_object_is_absolute(database: Database) -> None:
    entry = only(database, make_study("1.2.3", make_series("1.2.3.1", make_job())))
    assert entry.objects[0].path == STORAGE / "results/a.dcm"


def test_an_object_is_delivered_nowhere_yet(database: Database) -> None:
    entry = only(database, make_study("1.2.3", make_series("1.2.3.1", make_job())))
    assert entry.objects[0].delivered == {}


@pytest.mark.parametrize("state", [JobState.READY, JobState.RUNNING, JobState.FAILED])
def test_a_study_without_finished_job_has_no_findings(database: Database, state: JobState) -> None:
    job = make_job(state=state, outcome=None, priority=0)
    entry = only(database, make_study("1.2.3", make_series("1.2.3.1", job)))
    assert entry.findings == ()


def test_the_newest_revision_is_shown(database: Database) -> None:
    jobs = make_job(2, volume_ml=40), make_job(1, volume_ml=10)
    entry = only(database, make_study("1.2.3", make_series("1.2.3.1", *jobs)))
    assert entry.findings[0].volume_ml == 40


def test_of_two_suspicious_series_the_more_urgent_is_shown(database: Database) -> None:
    high = make_series("1.2.3.1", make_job(volume_ml=5, priority=2), score=0.9)
    critical = make_series("1.2.3.2", make_job(volume_ml=50, priority=1), score=0.5)
    assert only(database, make_study("1.2.3", high, critical)).findings[0].volume_ml == 50


def test_of_two_negative_series_the_better_scored_is_shown(database: Database) -> None:
    negative: dict[str, Any] = {"outcome": Outcome.NEGATIVE, "priority": 4}
    worse = make_series("1.2.3.1", make_job(volume_ml=0.1, **negative), score=0.5)
    better = make_series("1.2.3.2", make_job(volume_ml=0.2, **negative), score=0.9)
    assert only(database, make_study("1.2.3", worse, better)).findings[0].volume_ml == 0.2


def test_a_failed_newer_run_leaves_no_negative_findings_standing(database: Database) -> None:
    old = make_job(1, outcome=Outcome.NEGATIVE, priority=4)
    failed = make_job(2, state=JobState.FAILED, outcome=Outcome.FAILED, priority=0)
    series = make_series("1.2.3.1", old, failed)
    assert only(database, make_study("1.2.3", series, outcome=Outcome.FAILED)).findings == ()


def test_a_reopened_study_does_not_stand_as_none_found(database: Database) -> None:
    entry = only(database, make_study(state=StudyState.READY, outcome=None, priority=4))
    assert (entry.outcome, entry.priority) == (None, 0)


def test_a_reopened_study_keeps_the_level_that_moved_it_up(database: Database) -> None:
    series = make_series("1.2.3.1", make_job())
    entry = only(database, make_study("1.2.3", series, state=StudyState.READY, priority=1))
    assert (entry.priority, entry.earlier_outcome) == (1, Outcome.POSITIVE)


@pytest.mark.parametrize(("minutes", "late"), [(14, False), (16, True)])
def test_a_study_that_waits_too_long_is_marked(
    database: Database, minutes: int, late: bool
) -> None:
    received = now() - timedelta(minutes=minutes)
    assert only(database, make_study(state=StudyState.READY, received_at=received)).late is late


def test_late_studies_are_counted_in_all_as_schema_check_counts_them(database: Database) -> None:
    hours_ago = now() - timedelta(hours=3)
    waiting: dict[str, Any] = {"state": StudyState.READY, "outcome": None, "priority": 0}
    fresh_job = make_job(state=JobState.READY, outcome=None, priority=0)
    moving = make_series("1.4.1", fresh_job, last_instance_at=hours_ago)
    listed(
        database,
        make_study("1.1"),
        *(make_study(f"1.{n}", received_at=hours_ago, **waiting) for n in (2, 3)),
        make_study("1.4", moving, received_at=hours_ago, **waiting),
    )
    worklist = read_worklist(database, STORAGE, Window(limit=1))
    with database.reading() as session:
        checked = reconcile(session, LATE.total_seconds())
    assert worklist.late == checked.late == 2
    entries = read_worklist(database, STORAGE).entries
    assert {entry.study_instance_uid for entry in entries if entry.late} == {"1.2", "1.3"}
    patient = read_worklist(database, STORAGE, Window(late=timedelta(hours=4)))
    assert (patient.late, patient.late_after) == (0, timedelta(hours=4))


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.READY, StudyState.RUNNING])
def test_an_outcome_that_still_stands_is_found_while_the_study_is_analysed_again(
    database: Database, state: StudyState
) -> None:
    again = make_study("1.1", make_series("1.1.1", make_job()), state=state, outcome=None)
    other = make_job(outcome=Outcome.NEGATIVE, priority=4)
    sunk = make_study("1.2", make_series("1.2.1", other), state=state, outcome=None, priority=4)
    listed(database, again, sunk, make_study("1.3"), make_study("1.4", outcome=Outcome.NEGATIVE))
    assert set(uids(database, outcome=Outcome.POSITIVE)) == {"1.1", "1.3"}
    assert uids(database, outcome=Outcome.NEGATIVE) == ["1.4"]
    assert uids(database, outcome=Outcome.POSITIVE, search="nobody") == []


def test_what_fills_the_list_and_does_not_work_is_named(database: Database) -> None:
    show_end(database)
    assert read_worklist(database, STORAGE).missing == (Part.RECEIVER, Part.TRIAGE)
    show_life(database, Part.RECEIVER)
    assert read_worklist(database, STORAGE).missing == (Part.TRIAGE,)
    show_life(database)
    assert read_worklist(database, STORAGE).missing == ()


def test_a_part_that_never_gave_a_sign_is_of_a_release_that_gives_none(database: Database) -> None:
    assert read_worklist(database, STORAGE).missing == ()
    show_life(database, Part.WORKLIST)
    assert read_worklist(database, STORAGE).missing == ()


def test_a_study_that_is_done_does_not_wait(database: Database) -> None:
    assert not only(database, make_study(received_at=now() - timedelta(days=1))).late


def test_the_number_of_queries_does_not_grow_with_the_list(database: Database) -> None:
    def studies(first: int, count: int) -> list[Study]:
        numbers = range(first, first + count)
        return [make_study(f"1.{n}", make_series(f"1.{n}.1", make_job())) for n in numbers]

    statements: list[str] = []
    listed(database, *studies(0, 1))
    sa.event.listen(
        database.engine, "before_cursor_execute", lambda *given: statements.append(given[2])
    )
    read_worklist(database, STORAGE)
    for_one = len(statements)
    with database.transaction() as session:
        session.add_all(studies(1, 20))
    statements.clear()
    read_worklist(database, STORAGE)
    assert len(statements) == for_one


def test_an_unknown_study_has_no_explanation(database: Database) -> None:
    assert read_explanation(database, STORAGE, "9.9") is None


def test_a_rejected_series_is_explained_with_its_reason(database: Database) -> None:
    scout = make_series(state=SeriesState.REJECTED, score=None, reason="localizer")
    (series,) = explained(database, make_study("1.2.3", scout)).series
    assert (series.state, series.score, series.reason) == ("REJECTED", None, "localizer")


def test_a_resent_instance_counts_once_and_is_named(database: Database) -> None:
    series = make_series()
    series.instances = [make_instance("1.5"), make_instance("1.5", 2), make_instance("1.6")]
    (account,) = explained(database, make_study("1.2.3", series)).series
    assert account.instances == 2
    assert [(resent.sop_instance_uid, resent.versions) for resent in account.resent] == [("1.5", 2)]


def test_a_job_is_explained_with_what_decided(database: Database) -> None:
    job = make_job(
        rule_version="1",
        measured={"IPH_ml": 31.0},
        timings_s={"read": 1.5},
        attempts=2,
        owner="worker-1",
        last_error="disk full",
        model_sha256="ab",
    )
    explanation = explained(database, make_study("1.2.3", make_series("1.2.3.1", job)))
    account = explanation.series[0].jobs[0]
    assert (account.rule_version, account.measured) == ("1", {"IPH_ml": 31.0})
    assert (account.attempts, account.owner, account.last_error) == (2, "worker-1", "disk full")
    assert (account.timings_s, account.model_sha256, account.shown) == ({"read": 1.5}, "ab", True)


def test_the_times_from_the_first_image_are_told(database: Database) -> None:
    received = now() - timedelta(seconds=30)
    study = make_study(received_at=received, ready_at=received + timedelta(seconds=6))
    explanation = explained(database, study)
    assert (explanation.ready_after_s, explanation.finished_after_s) == (6, None)


@both
def test_a_database_that_lost_its_tables_is_an_error_and_no_empty_list(database: Database) -> None:
    with database.transaction() as session:
        session.execute(sa.text("ALTER TABLE study RENAME TO elsewhere"))
    with pytest.raises(DatabaseUnavailableError):
        read_worklist(database, STORAGE)


def test_the_list_is_read_from_tables_that_a_later_release_has_upgraded(
    database: Database, tmp_path: Path
) -> None:
    with database.transaction() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    opened = open_to_read(Settings(home=tmp_path))
    assert read_worklist(opened, STORAGE).entries == ()
    opened.engine.dispose()
