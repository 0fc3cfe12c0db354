"""The service: it survives its own death, states the unanalysed, and needs no torch."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import select, update

from schema.database import Database, read_clock
from schema.settings import Settings
from schema.states import DeliveryState, JobState, Outcome, SeriesState
from schema.studies import update_study
from schema.tables import Delivery, Instance, ResultObject, Series, Study
from tests.support.archives import Orthanc
from tests.support.listeners import mllp_listener
from tests.support.outbox import Outbox
from tests.support.phantoms import FEW_MM, Phantom
from tests.support.processes import free_port, wait_for
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, done
from worker.delivery.claims import LEASE, Ledger, claim
from worker.delivery.confirming import take_unconfirmed
from worker.delivery.counts import DELIVERY_SECONDS
from worker.delivery.destinations import NOWHERE, DicomDestination
from worker.delivery.metrics import OutboxCollector
from worker.delivery.statuses import NotNowError
from worker.delivery.unanalysed import Unanalysed
from worker.objects.writing import Written, write_unanalysed
from worker.results import revision_of

pytestmark = pytest.mark.slow  # kills and restarts services

TOML = """
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = {pacs}
ae_title = "PACS"
confirm_s = 0.2
first_pause_s = 0.05
probe_s = 0.2
[destinations.RIS]
kind = "hl7"
host = "127.0.0.1"
port = {ris}
first_pause_s = 0.05
probe_s = 0.2
"""


def outbox(settings: Settings, database: Database, pacs: int = 1, ris: int = 1) -> Outbox:
    return Outbox.make(settings, database, TOML.format(pacs=pacs, ris=ris))


def start(settings: Settings) -> subprocess.Popen[bytes]:
    script = Path(__file__).parents[1] / "support" / "delivering.py"
    url = {"TRIAGE_DATABASE_URL": settings.database_url} if settings.database_url else {}
    process = subprocess.Popen(
        [sys.executable, script, str(settings.home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=os.environ | url,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"delivering\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def let_leases_lapse(database: Database) -> None:
    """Do what two minutes do."""
    with database.transaction() as session:
        lapsed = update(Delivery).where(Delivery.state == DeliveryState.SENDING)
        session.execute(lapsed.values(lease_until=read_clock(session)))


@pytest.mark.parametrize(
    ("settings", "kills"), [("postgresql", 50), ("sqlite", 10)], indirect=["settings"]
)
def test_kills_at_any_moment_double_and_lose_nothing(
    settings: Settings, database: Database, tmp_path: Path, kills: int
) -> None:
    orthanc = Orthanc(tmp_path / "orthanc", free_port())
    orthanc.start()
    draw = random.Random(14)
    try:
        with mllp_listener("AA") as ris:
            box = outbox(settings, database, orthanc.port, ris.port)
            for number in range(kills):
                box.add(f"1.2.840.{number}", level=1 + number % 3)
                process = start(settings)
                time.sleep(draw.uniform(0.3, 1.2))  # the moment of the kill, not a wait
                kill(process)
                let_leases_lapse(database)
            process = start(settings)
            over = {"COMMITTED", "DELIVERED"}
            wait_for("end of the deliveries", lambda: box.states() <= over)
            kill(process)
            objects = [row for row in box.rows() if row.object_id is not None]
            assert len(orthanc.instances()) == len(objects) == 3 * kills  # SEG, SR and KO
            ids = [text.split("|")[9] for text in ris.accepted]
            assert len(set(ids)) == kills
    finally:
        orthanc.stop()


def test_a_row_that_was_lost_to_another_worker_is_not_written(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    box.add("1.2.840.1", kinds=("KO",))
    target = box.places.named("PACS")
    (first,) = claim(database, target)
    let_leases_lapse(database)
    (second,) = claim(database, target)
    ledger = Ledger(database, target)
    ledger.done(first, DeliveryState.SENT)
    assert not ledger.extend(first)
    assert ledger.extend(second)
    ledger.failed(second, NotNowError("later"))
    row = next(row for row in box.rows() if row.id == second.id)
    assert (row.state, row.last_error) == (DeliveryState.WAITING, "later")


def test_what_waits_for_an_hour_that_a_clock_jumped_forward_and_back_is_due_at_once(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    box.add("1.2.840.1", kinds=("KO",))
    pacs, ris = box.places.named("PACS"), box.places.named("RIS")
    assert isinstance(pacs, DicomDestination)
    pacs = pacs.model_copy(update={"confirm_s": 600.0})
    (sent,), (sending,) = claim(database, pacs), claim(database, ris)
    Ledger(database, pacs).done(sent, DeliveryState.SENT)
    assert claim(database, ris) == ()
    with database.transaction() as session:
        ahead = read_clock(session) + timedelta(hours=2)
        session.execute(update(Delivery).values(due_at=ahead, lease_until=ahead))
    assert [row.id for row in take_unconfirmed(database, pacs)] == [sent.id]
    assert take_unconfirmed(database, pacs) == ()
    assert [row.id for row in claim(database, ris)] == [sending.id]


def test_a_lease_that_was_extended_after_our_transaction_began_is_left_alone(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    box.add("1.2.840.1", kinds=("KO",))
    pacs = box.places.named("PACS")
    assert len(claim(database, pacs)) == 1
    with database.transaction() as session:
        newer = read_clock(session) + LEASE + timedelta(seconds=5)
        session.execute(update(Delivery).values(lease_until=newer))
    assert claim(database, pacs) == ()


def test_the_most_urgent_study_is_claimed_first(settings: Settings, database: Database) -> None:
    box = outbox(settings, database)
    for number, level in enumerate([4, 2, 0, 1, 3]):
        box.add(f"1.2.840.{number}", level, kinds=("KO",))
    target, order = box.places.named("PACS"), []
    while rows := claim(database, target):
        order += [row.key.split(".")[3] for row in rows]
    assert order == ["3", "1", "4", "0", "2"]


def received(
    settings: Settings, database: Database, uid: str = "1.2.3", **values: object
) -> Series:
    """Add a study with one received CT image."""
    sent = Phantom(FEW_MM, changes={"StudyInstanceUID": uid})
    (path, *_) = sent.write(settings.storage / uid)
    with database.transaction() as session:
        study = add_study(session, uid)
        series = add_series(study, session, **values)
        own = update(Instance).where(Instance.series_id == series.id)
        session.execute(own.values(path=str(path.relative_to(settings.storage))))
    return series


def objects_of_studies(database: Database) -> list[ResultObject]:
    with database.reading() as session:
        query = select(ResultObject).where(ResultObject.study_id.is_not(None))
        return list(session.scalars(query.order_by(ResultObject.id)))


def test_a_failed_study_gets_a_report_and_a_page_and_each_destination_its_rows(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    series = received(settings, database)
    with database.transaction() as session:
        add_job(session.merge(series), session, **failed("out of memory"))
    unanalysed = Unanalysed(database, settings.storage, box.places)
    assert unanalysed.state_due() == 1
    assert unanalysed.state_due() == 0
    sr, sc = objects_of_studies(database)
    assert (sr.kind, sc.kind) == ("SR", "SC")
    assert "out of memory" in (settings.storage / sr.path).read_bytes().decode("latin-1")
    assert {row.key for row in box.rows()} == {sr.sop_instance_uid, sc.sop_instance_uid}
    assert dcmread(settings.storage / sr.path).PatientID == "P1"


def test_a_study_without_an_eligible_series_gets_them_too(
    settings: Settings, database: Database
) -> None:
    rejected = {"state": SeriesState.REJECTED, "score": None, "reason": "3 slices"}
    series = received(settings, database, **rejected)
    with database.transaction() as session:
        update_study(session, session.merge(series).study)
    assert Unanalysed(database, settings.storage, NOWHERE).state_due() == 1
    assert [written.kind for written in objects_of_studies(database)] == ["SR", "SC"]


def test_a_head_that_was_refused_beside_one_without_a_bleed_is_stated(
    settings: Settings, database: Database
) -> None:
    series = received(settings, database)
    refused = {"state": SeriesState.REJECTED, "reason": "several images at one position"}
    with database.transaction() as session:
        study = session.merge(series).study
        add_job(session.merge(series), session, **done(Outcome.NEGATIVE, 4))
        add_series(study, session, None, series_number=4, **refused)
        update_study(session, study)
    assert Unanalysed(database, settings.storage, NOWHERE).state_due() == 1
    report = (settings.storage / objects_of_studies(database)[0].path).read_bytes()
    assert b"series 4: several images at one position" in report


def failed(reason: str) -> dict[str, object]:
    """Give the columns of a job that failed."""
    values = {"outcome": Outcome.FAILED, "reason": reason, "finished_at": LONG_AGO}
    return {"state": JobState.FAILED, **values}


def test_nothing_is_stated_while_another_series_may_still_be_analysed(
    settings: Settings, database: Database
) -> None:
    series = received(settings, database)
    with database.transaction() as session:
        study = session.merge(series).study
        second = add_series(study, session, score=1)
        add_job(session.merge(series), session, **failed("no head"))
        assert study.second_choice_at is not None
        second_id = second.id
    unanalysed = Unanalysed(database, settings.storage, NOWHERE)
    assert unanalysed.state_due() == 0
    with database.transaction() as session:
        add_job(session.get_one(Series, second_id), session, **failed("no head either"))
    assert unanalysed.state_due() == 1


def test_a_study_that_ends_unanalysed_in_another_way_is_stated_anew(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    localizer = received(settings, database, state=SeriesState.REJECTED, score=None, reason="few")
    with database.transaction() as session:
        update_study(session, session.merge(localizer).study)
    unanalysed = Unanalysed(database, settings.storage, box.places)
    assert unanalysed.state_due() == 1
    with database.transaction() as session:
        head = add_series(session.merge(localizer).study, session)
        job = add_job(head, session)
        job.state, job.outcome = JobState.FAILED, Outcome.FAILED
        job.reason, job.finished_at = "out of memory", LONG_AGO
        update_study(session, head.study)
    assert unanalysed.state_due() == 1
    assert unanalysed.state_due() == 0
    first, _, second, page = objects_of_studies(database)
    assert first.sop_instance_uid != second.sop_instance_uid
    stated = dcmread(settings.storage / second.path)
    replaced = stated.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert replaced.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.sop_instance_uid
    assert (first.study_revision, second.study_revision) == (None, 1)
    assert {second.sop_instance_uid, page.sop_instance_uid} <= {row.key for row in box.rows()}


def end_again(database: Database, series_id: int, **values: object) -> None:
    """Let a series arrive, and be rejected."""
    for state in (SeriesState.RECEIVING, SeriesState.REJECTED):
        with database.transaction() as session:
            series = session.get_one(Series, series_id)
            for name, value in {**values, "state": state}.items():
                setattr(series, name, value)
            update_study(session, series.study)


def test_what_ends_unanalysed_in_the_same_way_is_stated_once(
    settings: Settings, database: Database
) -> None:
    series = received(settings, database, score=None, reason="few")
    end_again(database, series.id)
    unanalysed = Unanalysed(database, settings.storage, NOWHERE)
    assert unanalysed.state_due() == 1
    end_again(database, series.id, revision=2)
    assert unanalysed.state_due() == 0
    with database.transaction() as session:  # a dose report, or our own page that came back
        study = session.get_one(Series, series.id).study
        late = add_series(study, session, None, modality="SR")
    end_again(database, late.id, reason="modality SR")
    assert unanalysed.state_due() == 0
    assert [stated.study_revision for stated in objects_of_studies(database)] == [2, 2]


def test_what_ends_as_before_an_analysis_is_stated_anew(
    settings: Settings, database: Database
) -> None:
    series = received(settings, database, score=None, reason="few")
    end_again(database, series.id)
    unanalysed = Unanalysed(database, settings.storage, NOWHERE)
    assert unanalysed.state_due() == 1
    with database.transaction() as session:
        job = add_job(session.get_one(Series, series.id), session, state=JobState.SUPERSEDED)
        report = ResultObject(kind="SR", sop_instance_uid="1.2.9", path="a", sha256="b")
        job.objects = [report]
    end_again(database, series.id, revision=2)
    assert unanalysed.state_due() == 1


@pytest.mark.parametrize("over_min", [11, -120], ids=["later", "after a clock was set back"])
def test_a_topogram_is_not_stated_before_the_head_had_time_to_come(
    settings: Settings, database: Database, over_min: int
) -> None:
    topogram = received(settings, database, state=SeriesState.REJECTED, score=None, reason="few")
    unanalysed = Unanalysed(database, settings.storage, NOWHERE)
    for ago_min, stated in ((9, 0), (over_min, 1)):
        with database.transaction() as session:
            series = session.merge(topogram)
            series.last_instance_at = read_clock(session) - timedelta(minutes=ago_min)
            update_study(session, series.study)
        assert unanalysed.state_due() == stated


def test_a_statement_has_the_level_of_the_list(settings: Settings, database: Database) -> None:
    series = received(settings, database)
    with database.transaction() as session:
        study = session.get_one(Series, series.id).study
        study.priority = 1  # of a revision before
        add_job(study.series[0], session, **failed("out of memory"))
    assert Unanalysed(database, settings.storage, NOWHERE).state_due() == 1
    report = objects_of_studies(database)[0]
    said = (settings.storage / report.path).read_bytes()
    assert b"LEVEL_1" in said
    assert b"LEVEL_0" not in said


def test_a_report_names_the_statement_that_it_replaces(
    settings: Settings, database: Database
) -> None:
    series = received(settings, database)
    with database.transaction() as session:
        add_job(session.merge(series), session, **failed("out of memory"))
    Unanalysed(database, settings.storage, NOWHERE).state_due()
    stated = objects_of_studies(database)[0]
    with database.transaction() as session:
        head = add_series(session.merge(series).study, session)
        job = add_job(head, session)
        revision = revision_of(job, settings.storage)
        assert revision.replaces
        assert revision.report_for("full") == settings.storage / stated.path


def test_a_study_whose_files_are_gone_stops_nobody(settings: Settings, database: Database) -> None:
    with database.transaction() as session:
        study = add_study(session)
        add_series(study, session, state=SeriesState.REJECTED, score=None, reason="3 slices")
        update_study(session, study)
    assert Unanalysed(database, settings.storage, NOWHERE).state_due() == 0


STUDIES = ("1.2.3", "1.2.4")


def two_failed(settings: Settings, database: Database) -> Outbox:
    """Make an outbox with two failed studies that the RIS wants to hear of."""
    settings.home.mkdir(parents=True, exist_ok=True)
    toml = TOML.format(pacs=1, ris=1) + "levels = [0]\n"
    for uid in STUDIES:
        series = received(settings, database, uid, series_instance_uid=f"{uid}.1")
        with database.transaction() as session:
            add_job(session.merge(series), session, **failed("out of memory"))
    return Outbox.make(settings, database, toml)


def told(box: Outbox) -> list[tuple[str, str]]:
    """Give destination and study of what is owed, in the order of the outbox."""
    query = select(Delivery.destination, Study.study_instance_uid).join(Delivery.study)
    with box.database.reading() as session:
        return [(name, uid) for name, uid in session.execute(query.order_by(Delivery.id))]


def no_dicom(path: Path) -> None:
    path.write_bytes(b"an image that a disk has lost")


def without_class(path: Path) -> None:
    ds = dcmread(path)
    del ds.SOPClassUID
    ds.save_as(path)


@pytest.mark.parametrize("spoil", [no_dicom, without_class, Path.unlink])
def test_a_study_without_a_readable_file_is_told_and_holds_up_no_other(
    settings: Settings, database: Database, spoil: Callable[[Path], None]
) -> None:
    box = two_failed(settings, database)
    for path in (settings.storage / "1.2.3").iterdir():
        spoil(path)
    unanalysed = Unanalysed(database, settings.storage, box.places)
    assert unanalysed.state_due() == 1
    expected = [("RIS", "1.2.3"), ("PACS", "1.2.4"), ("PACS", "1.2.4"), ("RIS", "1.2.4")]
    assert told(box) == expected
    try_again(database)
    assert unanalysed.state_due() == 0
    assert told(box) == expected  # once


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=2)], ids=["over", "set back"])
def test_a_study_whose_file_is_back_is_stated_once_its_pause_is_over(
    settings: Settings, database: Database, ahead: timedelta
) -> None:
    box = two_failed(settings, database)
    folder = settings.storage / "1.2.3"
    folder.rename(away := settings.home / "away")
    unanalysed = Unanalysed(database, settings.storage, box.places)
    assert unanalysed.state_due() == 1
    away.rename(folder)
    assert unanalysed.state_due() == 0
    try_again(database, ahead)
    assert unanalysed.state_due() == 1


def try_again(database: Database, ahead: timedelta = timedelta(0)) -> None:
    """Do what five minutes do, or a clock that is set back by hours."""
    with database.transaction() as session:
        session.execute(update(Study).values(statement_due_at=read_clock(session) + ahead))


@pytest.mark.parametrize(
    "fault", [lambda: Written(refused=["SR: refused", "SC: refused"]), lambda: {}["nothing"]]
)
def test_what_goes_wrong_with_one_study_holds_up_no_other(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[], Written],
) -> None:
    box, faults = two_failed(settings, database), iter([fault])
    monkeypatch.setattr(
        "worker.delivery.unanalysed.write_unanalysed",
        lambda *given: next(faults, lambda: write_unanalysed(*given))(),
    )
    unanalysed = Unanalysed(database, settings.storage, box.places)
    assert unanalysed.state_due() == 1
    assert told(box)[0] == ("RIS", "1.2.3")
    try_again(database)
    assert unanalysed.state_due() == 1
    assert sorted(set(told(box))) == [(name, uid) for name in ("PACS", "RIS") for uid in STUDIES]


def test_metrics_count_each_destination(settings: Settings, database: Database) -> None:
    box = outbox(settings, database)
    box.add("1.2.840.1", kinds=("KO",))
    families = {family.name: family for family in OutboxCollector(box.places, database).collect()}
    waiting = {
        sample.labels["destination"]: sample.value
        for sample in families["triage_deliveries"].samples
        if sample.labels["state"] == "WAITING"
    }
    assert waiting == {"PACS": 1, "RIS": 1}


def test_a_delivery_host_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys, worker.delivery.service, worker.delivery.probing, worker.delivery.tasks\n"
        "import worker.__main__\n"
        "print(*(name for name in ('torch', 'cv2', 'worker.munet') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_what_was_delivered_is_timed_once_however_often_it_is_noted(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    box.add("1.2.840.1", kinds=("KO",))
    target = box.places.named("RIS")

    def timed() -> float:
        samples = next(iter(DELIVERY_SECONDS.collect())).samples
        return sum(
            sample.value
            for sample in samples
            if sample.name.endswith("_count") and sample.labels["destination"] == "RIS"
        )

    before = timed()
    (row,) = claim(database, target)
    for _ in range(2):
        Ledger(database, target).done(row, DeliveryState.DELIVERED)
    assert timed() == before + 1
