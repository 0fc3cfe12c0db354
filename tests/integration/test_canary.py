"""No reader, archive or statistics ever sees a canary, and nobody else can make a study one."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset

from receiver.canary.objects import make_objects, new_uid
from receiver.canary.watch import NEVER_ENDED, CanaryWatch
from receiver.catalogue.canaries import STRANGE
from receiver.catalogue.intake import Catalogue
from receiver.catalogue.rebuild import Rebuilder
from receiver.inbox import Inbox
from receiver.metrics import StandingCollector
from receiver.periodic.steps import receiver_steps
from receiver.protocol.file_meta import encode_file_meta
from receiver.roster import Presence
from schema.canaries import read_canaries
from schema.database import Database, read_clock
from schema.monitoring.outcomes import OutcomeCollector
from schema.monitoring.site import SiteCollector
from schema.operation import read_operation
from schema.settings import Settings, make_home
from schema.states import Outcome, SeriesState
from schema.tables import (
    Base,
    Canary,
    Delivery,
    Finding,
    Instance,
    Job,
    ResultObject,
    Series,
    Study,
    StudyEvent,
)
from tests.support.pages import Browser
from tests.support.rows import add_instance, add_job, add_series, add_study, done
from tests.support.scu import CT, EXPLICIT, encode, image
from worker.delivery.destinations import load_destinations
from worker.delivery.outbox import enqueue_event, enqueue_job, enqueue_study
from worker.delivery.unstated import unstated
from worklist.acknowledgement import read_verdicts
from worklist.explaining import read_explanation
from worklist.listing import count_unread, fingerprint
from worklist.metrics import metrics_text
from worklist.opening import open_to_serve
from worklist.page import make_app
from worklist.queries import read_stations, read_worklist
from worklist.window import View, Window

GIGABYTE = 10**9
DESTINATIONS = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = 104
ae_title = "PACS"
[destinations.RIS]
kind = "hl7"
host = "127.0.0.1"
port = 2575
unread = true
[destinations.HOOK]
kind = "webhook"
url = "http://127.0.0.1:1/"
secret_file = "secret"
"""


class Aviary:
    """A database with a canary and a patient, and the watch that sends the canaries."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        asked = settings.model_copy(update={"canary_minutes": 15})
        self.watch = CanaryWatch(asked, database)
        self.readers = open_to_serve(settings)

    def announce(self) -> tuple[str, list[Dataset]]:
        """Write a canary as if it were sent now; give its study and its slices."""
        now = self.database.now()
        uid = new_uid()
        objects = list(make_objects(uid, now))
        self.watch._announce(uid, objects, now)
        return uid, objects

    def receive(self, objects: Sequence[Dataset]) -> None:
        """Let the catalogue take in what a receiver acknowledged."""
        folder = Inbox(self.settings.storage, 0).open_association("CANARY", "127.0.0.1")
        for ds in objects:
            incoming = folder.begin(encode_file_meta(CT, ds.SOPInstanceUID, EXPLICIT), GIGABYTE)
            incoming.write(memoryview(encode(ds)))
            incoming.keep()
        folder.close()
        Catalogue(self.database, self.settings.storage).take_in()

    def end(self, uid: str, outcome: Outcome = Outcome.POSITIVE, level: int = 1) -> None:
        """Let a worker end the analysis, with a result object and a finding."""
        with self.database.transaction() as session:
            study = session.scalars(sa.select(Study).where(Study.study_instance_uid == uid)).one()
            if not study.series:
                add_series(study, session)
            (series,) = study.series
            series.state = SeriesState.SELECTED
            values = done(outcome, level) | {"finished_at": read_clock(session)}
            job = add_job(series, session, **values)
            job.findings = [Finding(subtype="any", probability=1, volume_ml=40, present=True)]
            path = self.settings.storage / "results" / uid / "a.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            name = str(path.relative_to(self.settings.storage))
            job.objects = [
                ResultObject(kind="SR", sop_instance_uid=f"{uid}.9", path=name, sha256="0" * 64)
            ]

    def canary(self) -> Canary:
        with self.database.reading() as session:
            return session.scalars(sa.select(Canary)).one()

    def count(self, table: type[Base]) -> int:
        with self.database.reading() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


@pytest.fixture
def aviary(settings: Settings, database: Database) -> Iterator[Aviary]:
    aviary = Aviary(settings, database)
    yield aviary
    aviary.readers.engine.dispose()


def ended_canary(aviary: Aviary, outcome: Outcome = Outcome.POSITIVE, level: int = 1) -> str:
    uid, objects = aviary.announce()
    aviary.receive(objects)
    aviary.end(uid, outcome, level)
    return uid


@pytest.mark.parametrize("view", View)
def test_a_canary_is_on_no_view_of_the_list(aviary: Aviary, view: View) -> None:
    ended_canary(aviary)
    assert len(read_worklist(aviary.database, aviary.settings.storage).entries) == 1
    with aviary.database.transaction() as session:
        add_study(session, "1.2.3")
    for window in (Window(view=view), Window(view=view, search="canary")):
        entries = read_worklist(aviary.readers, aviary.settings.storage, window).entries
        assert "CANARY" not in {entry.patient_id for entry in entries}
    plain = read_worklist(aviary.readers, aviary.settings.storage)
    assert [entry.study_instance_uid for entry in plain.entries] == ["1.2.3"]
    assert plain.unread_critical == 0


def test_a_canary_is_explained_to_nobody(aviary: Aviary) -> None:
    uid = ended_canary(aviary)
    assert read_explanation(aviary.database, aviary.settings.storage, uid) is not None
    assert read_explanation(aviary.readers, aviary.settings.storage, uid) is None


def test_a_canary_is_in_no_statistics_of_the_list(aviary: Aviary) -> None:
    before = metrics_text(aviary.readers)
    with aviary.readers.reading() as session:
        unchanged = fingerprint(session)
    ended_canary(aviary)
    assert metrics_text(aviary.readers) == before
    assert read_stations(aviary.readers) == []
    with aviary.readers.reading() as session:
        assert count_unread(session) == 0
        assert list(read_verdicts(session)) == []
        assert fingerprint(session) == unchanged


def test_the_page_and_its_api_know_no_canary(aviary: Aviary) -> None:
    uid = ended_canary(aviary)
    browser = Browser(make_app(aviary.readers, aviary.settings))
    assert "CANARY" not in browser.get("/?view=all").text
    assert browser.get("/api/worklist?view=all").json() == []
    with aviary.database.reading() as session:
        job_id = session.scalars(sa.select(Job.id)).one()
    for path in (f"/api/study/{uid}", f"/study/{uid}", f"/api/job/{job_id}/images"):
        assert browser.get(path).status_code >= 400, path


def test_a_canary_is_owed_to_no_archive_ris_or_webhook(aviary: Aviary) -> None:
    make_home(aviary.settings)
    (aviary.settings.home / "secret").write_text("0123456789abcdef")
    path = aviary.settings.home / "destinations.toml"
    path.write_text(DESTINATIONS)
    places = load_destinations(path)
    uids = [ended_canary(aviary)]
    with aviary.database.transaction() as session:
        add_job(add_series(add_study(session, "1.2.3"), session), session,
                **done(Outcome.POSITIVE, 1))  # fmt: skip
    for uid, owed in ((uids[0], 0), ("1.2.3", 4)):
        with aviary.database.transaction() as session:
            study = session.scalars(sa.select(Study).where(Study.study_instance_uid == uid)).one()
            event = StudyEvent(
                study_id=study.id, kind="UNREAD", created_at=read_clock(session), detail={}
            )
            session.add(event)
            session.flush()
            (series,) = study.series
            added = enqueue_job(session, series.jobs[0], places)
            added += enqueue_event(session, study, event, places)
            assert added == owed
    with aviary.database.transaction() as session:
        canary = session.scalars(sa.select(Study).where(Study.study_instance_uid == uids[0])).one()
        assert enqueue_study(session, canary, [], places) == 0
    with aviary.database.reading() as session:
        owners = set(session.scalars(sa.select(Study.study_instance_uid).join(Delivery)))
    assert owners == {"1.2.3"}


def test_a_canary_that_was_not_analysed_gets_no_statement(aviary: Aviary) -> None:
    ended_canary(aviary, Outcome.NOT_ANALYSED, 0)
    with aviary.database.reading() as session:
        assert list(unstated(session, read_clock(session))) == []


def test_a_canary_is_no_sign_that_a_scanner_sends(aviary: Aviary) -> None:
    with aviary.database.transaction() as session:
        instance = add_instance(add_series(add_study(session, "1.2.3"), session), session)
    ended_canary(aviary, Outcome.NOT_ANALYSED, 0)
    with aviary.readers.reading() as session:
        operation = read_operation(session, 900)
    assert operation.last_reception is not None
    assert operation.last_reception.at == instance.received_at
    assert operation.unanalysed == {}


def test_a_canary_is_in_no_statistics_of_the_site(aviary: Aviary) -> None:
    outcomes, site = (
        OutcomeCollector(aviary.database),
        SiteCollector(aviary.settings, aviary.database),
    )
    for collector in (outcomes, site):
        list(collector.collect())
    ended_canary(aviary)
    counted = {
        sample.name: sample.value for family in outcomes.collect() for sample in family.samples
    }
    assert counted["triage_result_seconds_count"] == 0
    assert "triage_results_total" not in counted
    gauges = {family.name: family.samples[0].value for family in site.collect() if family.samples}
    assert gauges["triage_oldest_unseen_positive_seconds"] == 0
    assert gauges["triage_open_studies"] == 0
    aviary.announce()
    gauges = {family.name: family.samples[0].value for family in site.collect() if family.samples}
    assert gauges["triage_open_studies"] == 0


def told(aviary: Aviary, minutes: float | None) -> dict[str, float]:
    """Give the metrics of a receiver with this setting."""
    own = aviary.settings.model_copy(update={"canary_minutes": minutes})
    families = StandingCollector(own, aviary.database).collect()
    return {family.name: family.samples[0].value for family in families}


def test_its_time_and_whether_its_result_is_the_known_one_are_told(aviary: Aviary) -> None:
    ended_canary(aviary)
    assert aviary.watch.conclude() == 1
    canary = aviary.canary()
    assert canary.is_known
    assert canary.seconds is not None
    metrics = told(aviary, 15)
    assert metrics["triage_canary_result_known"] == 1
    assert metrics["triage_canary_seconds"] == canary.seconds
    assert metrics["triage_canary_waiting_seconds"] == 0


def test_a_wrong_result_is_told(aviary: Aviary) -> None:
    ended_canary(aviary, Outcome.NEGATIVE, 4)
    aviary.watch.conclude()
    with aviary.database.reading() as session:
        standing = read_canaries(session)
    assert standing is not None
    assert standing.is_known is False
    assert standing.since_known is None
    assert (standing.detail or "").startswith("NEGATIVE")


def test_the_next_waits_for_the_one_before_and_for_its_time(aviary: Aviary) -> None:
    assert aviary.watch._is_due()
    uid, _ = aviary.announce()
    assert not aviary.watch._is_due()
    age(aviary, timedelta(minutes=16))
    assert not aviary.watch._is_due()
    aviary.end(uid)
    aviary.watch.conclude()
    assert aviary.watch._is_due()


def age(aviary: Aviary, by: timedelta) -> None:
    with aviary.database.transaction() as session:
        for canary in session.scalars(sa.select(Canary)):
            canary.sent_at -= by


def test_after_a_day_nothing_of_it_is_left_but_how_it_went(aviary: Aviary) -> None:
    uid = ended_canary(aviary)
    aviary.watch.conclude()
    with aviary.database.transaction() as session:
        add_instance(add_series(add_study(session, "1.2.3"), session), session)
    assert list(aviary.settings.storage.rglob("*.dcm"))
    age(aviary, timedelta(hours=25))
    assert aviary.watch.remove_old() == 1
    assert list(aviary.settings.storage.rglob("*.dcm")) == []
    assert aviary.count(Study) == aviary.count(Series) == 1
    assert aviary.count(Job) == aviary.count(Finding) == aviary.count(ResultObject) == 0
    assert aviary.canary().is_known
    with aviary.database.reading() as session:
        found = session.scalars(sa.select(Study.study_instance_uid)).all()
    assert found == ["1.2.3"] != [uid]


def test_one_that_never_ended_is_removed_too_and_says_so(aviary: Aviary) -> None:
    _, objects = aviary.announce()
    aviary.receive(objects)
    age(aviary, timedelta(hours=25))
    aviary.watch.remove_old()
    assert aviary.count(Study) == aviary.count(Instance) == 0
    assert (aviary.canary().is_known, aviary.canary().detail) == (False, NEVER_ENDED)


def test_one_whose_files_lie_elsewhere_is_left_to_who_sees_them(
    aviary: Aviary, tmp_path: Path
) -> None:
    ended_canary(aviary)
    age(aviary, timedelta(hours=25))
    elsewhere = aviary.settings.model_copy(update={"storage_dir": tmp_path / "elsewhere"})
    assert CanaryWatch(elsewhere, aviary.database).remove_old() == 0
    assert aviary.count(Study) == 1
    assert aviary.watch.remove_old() == 1


def do_steps_without_the_setting(aviary: Aviary) -> None:
    """Have a receiver that is not asked for canaries do all that it does about them."""
    assert aviary.settings.canary_minutes is None
    for step in receiver_steps(aviary.settings, aviary.database, Presence(aviary.settings.storage)):
        if step.lane == "leadership" or step.name in {"canary", "canaries of yesterday"}:
            step.action()


def test_one_that_waits_when_the_setting_is_unset_is_concluded_and_removed_and_none_follows(
    aviary: Aviary,
) -> None:
    ended_canary(aviary)
    do_steps_without_the_setting(aviary)
    assert aviary.canary().is_known
    age(aviary, timedelta(hours=25))
    do_steps_without_the_setting(aviary)
    assert aviary.count(Study) == 0
    assert aviary.count(Canary) == 1


def test_how_the_last_ones_went_is_forgotten_after_a_month_though_no_other_follows(
    aviary: Aviary,
) -> None:
    ended_canary(aviary)
    age(aviary, timedelta(days=2))
    aviary.watch.remove_old()
    age(aviary, timedelta(days=29))
    aviary.watch.remove_old()
    assert aviary.count(Canary) == 0


def test_no_alert_goes_on_about_canaries_that_nobody_asks_for_any_more(aviary: Aviary) -> None:
    ended_canary(aviary, Outcome.NEGATIVE, 4)
    aviary.watch.conclude()
    assert told(aviary, 15)["triage_canary_result_known"] == 0
    assert not [name for name in told(aviary, None) if "canary" in name]


def test_what_others_send_under_its_uid_makes_it_a_study_that_everybody_sees(
    aviary: Aviary,
) -> None:
    uid, objects = aviary.announce()
    aviary.receive(objects)
    assert read_worklist(aviary.readers, aviary.settings.storage).entries == ()
    aviary.receive([image("1.2.3.9", StudyInstanceUID=uid)])
    (entry,) = read_worklist(aviary.readers, aviary.settings.storage).entries
    assert entry.study_instance_uid == uid
    assert aviary.canary().detail == STRANGE
    age(aviary, timedelta(hours=25))
    aviary.watch.remove_old()
    assert aviary.count(Study) == 1


def forget(aviary: Aviary) -> None:
    """Have the tables come back from before anything was received, and the store looked through."""
    with aviary.database.transaction() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(sa.delete(table))
    look_through(aviary)


def look_through(aviary: Aviary) -> None:
    storage = aviary.settings.storage
    rebuilder = Rebuilder(Catalogue(aviary.database, storage), aviary.database, storage)
    for _ in range(3):
        rebuilder.look_further()


def studies(aviary: Aviary) -> list[str]:
    with aviary.database.reading() as session:
        return list(session.scalars(sa.select(Study.study_instance_uid)))


def test_a_restored_database_gets_patients_back_and_no_canary(aviary: Aviary) -> None:
    _, objects = aviary.announce()
    aviary.receive([*objects, image("1.2.3.9", StudyInstanceUID="1.2.3")])
    forget(aviary)
    assert studies(aviary) == ["1.2.3"]
    assert aviary.count(Instance) == 1


def test_a_canary_that_a_restored_database_forgot_is_removed_after_a_day(
    aviary: Aviary, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, objects = aviary.announce()
    aviary.receive([*objects, image("1.2.3.9", StudyInstanceUID="1.2.3")])
    forget(aviary)
    assert aviary.watch.remove_old() == 0
    monkeypatch.setattr("receiver.canary.watch.STAYS", timedelta(hours=-1))
    assert aviary.watch.remove_old() == 1
    assert len(list((aviary.settings.storage / "received").rglob("*.dcm"))) == 1
    assert list((aviary.settings.storage / "canaries").iterdir()) == []
    look_through(aviary)
    assert studies(aviary) == ["1.2.3"]


def test_a_canary_that_waits_in_the_inbox_of_a_restored_database_is_no_patient(
    aviary: Aviary,
) -> None:
    _, objects = aviary.announce()
    forget(aviary)
    aviary.receive(objects)
    look_through(aviary)
    assert studies(aviary) == []
    assert len(list((aviary.settings.storage / "received").rglob("*.dcm"))) == len(objects)


def test_one_that_came_back_with_its_row_gets_its_slices_again(aviary: Aviary) -> None:
    _, objects = aviary.announce()
    aviary.receive(objects)
    with aviary.database.transaction() as session:
        session.execute(sa.delete(Instance))
        session.execute(sa.delete(Series))
    look_through(aviary)
    assert aviary.count(Instance) == len(objects)
    assert read_worklist(aviary.readers, aviary.settings.storage).entries == ()


def test_what_others_sent_under_its_uid_comes_back_with_a_restored_database(
    aviary: Aviary,
) -> None:
    """Only what we sent to the byte is left out: a sender hides no study."""
    uid, objects = aviary.announce()
    aviary.receive([*objects, image("1.2.3.9", StudyInstanceUID=uid)])
    forget(aviary)
    (entry,) = read_worklist(aviary.readers, aviary.settings.storage).entries
    assert entry.study_instance_uid == uid


@pytest.mark.parametrize("torn", ["", "{}", '{"sent_at": 1}'])
def test_a_torn_mark_leaves_out_nothing(aviary: Aviary, torn: str) -> None:
    uid, objects = aviary.announce()
    aviary.receive(objects)
    (mark,) = (aviary.settings.storage / "canaries").iterdir()
    mark.write_text(torn)
    forget(aviary)
    assert studies(aviary) == [uid]


def test_a_mark_that_cannot_be_read_holds_up_no_study(aviary: Aviary) -> None:
    uid, objects = aviary.announce()
    (mark,) = (aviary.settings.storage / "canaries").iterdir()
    mark.unlink()
    mark.mkdir()
    aviary.receive([*objects, image("1.2.3.9", StudyInstanceUID="1.2.3")])
    assert sorted(studies(aviary)) == ["1.2.3", uid]
    assert aviary.watch.remove_old() == 0


def test_what_looks_like_a_canary_is_none(aviary: Aviary) -> None:
    """The name, the ID and the calling title are anybody's."""
    aviary.receive(list(make_objects("2.25.77", aviary.database.now())))
    (entry,) = read_worklist(aviary.readers, aviary.settings.storage).entries
    assert (entry.study_instance_uid, entry.patient_id) == ("2.25.77", "CANARY")


def test_a_port_that_is_closed_to_it_is_told(aviary: Aviary) -> None:
    aviary.watch.look()
    canary = aviary.canary()
    assert canary.is_known is False
    assert "TRIAGE_CANARY_MINUTES" in (canary.detail or "")
