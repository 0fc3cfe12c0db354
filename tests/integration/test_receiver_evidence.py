"""Evidence over real associations: MPPS and IAN from an SCU, counts from query SCPs."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association as DicomAssociation
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    CTImageStorage,
    InstanceAvailabilityNotification,
    ModalityPerformedProcedureStep,
    StudyRootQueryRetrieveInformationModelFind,
)
from structlog.testing import capture_logs

from receiver.completeness.evidence import read_known, receiving
from receiver.completeness.find_counts import Counter, CountUnavailableError, Question, ask
from receiver.completeness.scp import AnnouncementScp
from schema.database import Database, open_database, read_clock
from schema.dicom import DimseStatus
from schema.errors import SettingsError
from schema.peers import PeerAddress
from schema.requestor import spare_responses
from schema.settings import Settings
from schema.states import SeriesState
from schema.tables import Announcement, Association, ProcedureStep
from tests.support.phantoms import item
from tests.support.processes import free_port, wait_for_port
from tests.support.rows import add_instance, add_series, add_study
from tests.support.series import STUDY, datasets

SERIES = f"{STUDY}.1"
INSTANCES = (f"{SERIES}.1", f"{SERIES}.2")
STEP = "1.2.826.0.1.99.7"
# pynetdicom leaves the socket of a refused connection to the garbage collector.
LEAKY = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, announcement_port=0, callers="CT1@127.0.0.1/32")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = open_database(settings)
    yield database
    database.engine.dispose()


@pytest.fixture
def announcements(settings: Settings, database: Database) -> Iterator[int]:
    """Port of a running SCP."""
    server = AnnouncementScp(settings, database).start()
    yield server.server_address[1]
    server.shutdown()


@contextmanager
def announcing(port: int, ae_title: str = "CT1") -> Iterator[DicomAssociation]:
    ae = AE(ae_title)
    ae.add_requested_context(ModalityPerformedProcedureStep)
    ae.add_requested_context(InstanceAvailabilityNotification)
    assoc = ae.associate("127.0.0.1", port, ae_title="IHSNET")
    spare_responses(assoc)
    yield assoc
    if assoc.is_established:
        assoc.release()


def performed(*uids: str) -> Dataset:
    images = [
        item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=uid) for uid in uids
    ]
    return item(SeriesInstanceUID=SERIES, ReferencedImageSequence=images)


def begun() -> Dataset:
    return item(
        PerformedProcedureStepStatus="IN PROGRESS",
        PatientName="Doe^Jane",
        ScheduledStepAttributesSequence=[item(StudyInstanceUID=STUDY)],
        PerformedSeriesSequence=[],
    )


def ended(*uids: str, state: str = "COMPLETED") -> Dataset:
    return item(PerformedProcedureStepStatus=state, PerformedSeriesSequence=[performed(*uids)])


def create(assoc: DicomAssociation, uid: str = STEP, ds: Dataset | None = None) -> int:
    status, _ = assoc.send_n_create(ds or begun(), ModalityPerformedProcedureStep, uid)
    return int(status.Status)


def change(assoc: DicomAssociation, ds: Dataset, uid: str = STEP) -> int:
    status, _ = assoc.send_n_set(ds, ModalityPerformedProcedureStep, uid)
    return int(status.Status)


def announced(database: Database) -> list[tuple[str, str, str, int, Any]]:
    with database.reading() as session:
        return [
            (
                announcement.source,
                announcement.ae_title,
                announcement.series_instance_uid,
                announcement.instances,
                announcement.sop_instance_uids,
            )
            for announcement in session.scalars(sa.select(Announcement))
        ]


def test_a_completed_procedure_step_says_what_the_series_holds(
    announcements: int, database: Database
) -> None:
    with announcing(announcements) as assoc:
        assert create(assoc) == DimseStatus.SUCCESS
        assert announced(database) == []
        assert change(assoc, ended(*INSTANCES)) == DimseStatus.SUCCESS
    assert announced(database) == [("MPPS", "CT1", SERIES, 2, list(INSTANCES))]


def test_what_was_listed_before_the_end_counts_too(announcements: int, database: Database) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        change(assoc, ended(INSTANCES[0], state="IN PROGRESS"))
        assert announced(database) == []
        change(assoc, ended(INSTANCES[1]))
    assert announced(database)[0][3] == 2


def test_a_discontinued_step_says_that_no_more_comes(
    announcements: int, database: Database
) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        change(assoc, ended(INSTANCES[0], state="DISCONTINUED"))
    assert announced(database)[0][3] == 1


@pytest.mark.parametrize("state", ["COMPLETED", "DISCONTINUED"])
def test_a_step_that_lists_no_image_says_nothing_of_its_series(
    announcements: int, database: Database, state: str
) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        assert change(assoc, ended(state=state)) == DimseStatus.SUCCESS
    assert announced(database) == []


def test_a_step_outlives_its_association_and_the_receiver(
    settings: Settings, announcements: int, database: Database
) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
    again = AnnouncementScp(settings, database).start()
    with announcing(again.server_address[1]) as assoc:
        assert change(assoc, ended(*INSTANCES)) == DimseStatus.SUCCESS
    again.shutdown()
    assert len(announced(database)) == 1


def test_a_port_that_somebody_else_has_is_said_by_its_setting(
    settings: Settings, announcements: int, database: Database
) -> None:
    taken = settings.model_copy(update={"announcement_port": announcements})
    with pytest.raises(SettingsError, match=r"TRIAGE_ANNOUNCEMENT_PORT: .* choose another"):
        AnnouncementScp(taken, database).start()


def test_a_step_that_ended_cannot_be_changed(announcements: int) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        change(assoc, ended(*INSTANCES))
        assert change(assoc, ended(*INSTANCES)) == DimseStatus.PROCESSING_FAILURE


def test_a_step_begins_once(announcements: int) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        assert create(assoc) == DimseStatus.DUPLICATE_SOP_INSTANCE


def test_a_step_that_never_began_cannot_end(announcements: int) -> None:
    with announcing(announcements) as assoc:
        assert change(assoc, ended(*INSTANCES)) == DimseStatus.NO_SUCH_SOP_INSTANCE


@pytest.mark.parametrize("state", ["", "DONE", "COMPLETED"])
def test_a_step_begins_in_progress(announcements: int, state: str) -> None:
    ds = begun()
    ds.PerformedProcedureStepStatus = state
    with announcing(announcements) as assoc:
        assert create(assoc, ds=ds) == DimseStatus.INVALID_ATTRIBUTE_VALUE


def test_no_patient_is_kept_of_a_step(announcements: int, database: Database) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
    with database.reading() as session:
        step = session.scalars(sa.select(ProcedureStep)).one()
        assert "Doe" not in json.dumps({**vars(step), "_sa_instance_state": 0}, default=str)


def test_a_notification_says_what_the_archive_holds(announcements: int, database: Database) -> None:
    references = [
        item(
            ReferencedSOPClassUID=CTImageStorage,
            ReferencedSOPInstanceUID=uid,
            InstanceAvailability=availability,
        )
        for uid, availability in zip(
            (*INSTANCES, "1.2.3"), ("ONLINE", "ONLINE", "UNAVAILABLE"), strict=True
        )
    ]
    series = item(SeriesInstanceUID=SERIES, ReferencedSOPSequence=references)
    ds = item(StudyInstanceUID=STUDY, ReferencedSeriesSequence=[series])
    with announcing(announcements) as assoc:
        status, _ = assoc.send_n_create(ds, InstanceAvailabilityNotification, "1.2.3.9")
    assert status.Status == DimseStatus.SUCCESS
    assert announced(database) == [("IAN", "CT1", SERIES, 2, list(INSTANCES))]


def test_what_is_no_uid_is_refused(announcements: int, database: Database) -> None:
    with announcing(announcements) as assoc:
        create(assoc)
        series = performed(*INSTANCES)
        series["SeriesInstanceUID"]._value = "../../etc"
        ds = item(PerformedProcedureStepStatus="COMPLETED", PerformedSeriesSequence=[series])
        assert change(assoc, ds) == DimseStatus.INVALID_ATTRIBUTE_VALUE
    assert announced(database) == []


def test_a_stranger_announces_nothing(announcements: int) -> None:
    with capture_logs() as lines, announcing(announcements, "STRANGER") as assoc:
        assert assoc.is_rejected
    (line,) = [line for line in lines if line["event"] == "association rejected"]
    assert (line["calling_ae"], line["peer"]) == ("STRANGER", "127.0.0.1")
    assert line["put_right"] == "add calling_ae@peer to TRIAGE_CALLERS"


# --- counts ---------------------------------------------------------------------------------


@contextmanager
def archive(*matches: Dataset, status: int = 0x0000) -> Iterator[PeerAddress]:
    """A query SCP that answers with these matches."""

    def answer(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        assert event.identifier.QueryRetrieveLevel == "SERIES"
        for match in matches:
            yield 0xFF00, match
        yield status, None

    ae = AE("PACS")
    ae.supported_contexts = [build_context(StudyRootQueryRetrieveInformationModelFind)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answer)])
    assert server is not None
    yield PeerAddress("PACS", "127.0.0.1", server.server_address[1])
    server.shutdown()


def match(count: int | None, series: str = SERIES) -> Dataset:
    ds = item(QueryRetrieveLevel="SERIES", StudyInstanceUID=STUDY, SeriesInstanceUID=series)
    if count is not None:
        ds.NumberOfSeriesRelatedInstances = count
    return ds


@pytest.mark.parametrize(
    ("matches", "count"),
    [([match(32)], 32), ([], None), ([match(None)], None), ([match(9, "1.2"), match(32)], 32)],
)
def test_a_sender_is_asked_for_its_count(matches: Sequence[Dataset], count: int | None) -> None:
    with archive(*matches) as peer:
        assert ask(Question(STUDY, SERIES, peer), "IHSNET") == count


def test_a_sender_that_answers_with_a_failure_gives_no_count() -> None:
    with archive(status=0xC001) as peer, pytest.raises(CountUnavailableError, match="0xC001"):
        ask(Question(STUDY, SERIES, peer), "IHSNET")


@LEAKY
def test_a_sender_that_is_away_gives_no_count() -> None:
    peer = PeerAddress("PACS", "127.0.0.1", free_port())
    with pytest.raises(CountUnavailableError, match="PACS"):
        ask(Question(STUDY, SERIES, peer), "IHSNET")


def add_quiet_series(database: Database, ago_s: float, count: int = 2) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        association = Association(
            name="a", calling_ae="PACS", peer="127.0.0.1", opened_at=now, closed_at=None
        )
        series = add_series(add_study(session, STUDY), session, state=SeriesState.RECEIVING)
        series.series_instance_uid = SERIES
        series.last_instance_at = now - timedelta(seconds=ago_s)
        for _ in range(count - 1):
            add_instance(series, session)
        session.flush()
        session.refresh(series)
        for instance in series.instances:
            instance.association = association


def evidence(database: Database) -> list[Any]:
    with database.reading() as session:
        waiting = [arrival.series_id for arrival in receiving(session)]
        found = read_known(session, waiting)
        return [found.arrived(series_id).counts for series_id in waiting]


def test_a_quiet_series_is_asked_about_once_and_its_count_is_evidence(
    settings: Settings, database: Database
) -> None:
    add_quiet_series(database, ago_s=6)
    with archive(match(2)) as peer:
        counter = Counter(settings.model_copy(update={"count_peers": (peer,)}), database)
        assert counter.ask_due() == 1
        assert counter.ask_due() == 0
    ((count,),) = evidence(database)
    assert (count.source, count.expected, count.arrived) == ("C-FIND of PACS", 2, 2)


def test_a_series_that_streams_is_not_asked_about(settings: Settings, database: Database) -> None:
    add_quiet_series(database, ago_s=1)
    with archive(match(2)) as peer:
        slow = {"count_peers": (peer,), "series_quiet_s": 600.0}  # half of it: no host is so busy
        counter = Counter(settings.model_copy(update=slow), database)
        assert counter.ask_due() == 0


def test_a_count_from_before_the_newest_image_is_no_evidence(
    settings: Settings, database: Database
) -> None:
    add_quiet_series(database, ago_s=6)
    with archive(match(2)) as peer:
        Counter(settings.model_copy(update={"count_peers": (peer,)}), database).ask_due()
    with database.transaction() as session:
        session.scalars(sa.select(Announcement)).one().announced_at -= timedelta(seconds=60)
    assert evidence(database) == [[]]


def test_a_list_of_no_image_that_an_older_release_kept_is_no_evidence(database: Database) -> None:
    add_quiet_series(database, ago_s=6)
    with database.transaction() as session:
        session.add(
            Announcement(
                study_instance_uid=STUDY,
                series_instance_uid=SERIES,
                source="MPPS",
                ae_title="CT1",
                instances=0,
                sop_instance_uids=[],
                announced_at=read_clock(session),
            )
        )
    assert evidence(database) == [[]]


@LEAKY
def test_a_sender_that_is_away_is_not_asked_again_at_once(
    settings: Settings, database: Database
) -> None:
    add_quiet_series(database, ago_s=6)
    peer = PeerAddress("PACS", "127.0.0.1", free_port())
    counter = Counter(settings.model_copy(update={"count_peers": (peer,)}), database)
    assert counter.ask_due() == 0
    with archive(match(2)) as back:
        counter._peers["PACS"] = back
        assert counter.ask_due() == 0


@pytest.mark.skipif(shutil.which("Orthanc") is None, reason="Orthanc is not installed")
def test_orthanc_says_how_many_instances_it_has(tmp_path: Path) -> None:
    dicom, http = free_port(), free_port()
    configuration = {
        "StorageDirectory": str(tmp_path / "db"),
        "IndexDirectory": str(tmp_path / "db"),
        "DicomAet": "PACS",
        "DicomPort": dicom,
        "HttpPort": http,
        "DicomModalities": {"us": ["IHSNET", "127.0.0.1", 11112]},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration), "utf-8")
    with subprocess.Popen(
        ["Orthanc", str(tmp_path / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            peer = PeerAddress("PACS", "127.0.0.1", dicom)
            wait_for_port(dicom)
            _store(peer, datasets({"count": 3}))
            assert ask(Question(STUDY, SERIES, peer), "IHSNET") == 3
            assert ask(Question(STUDY, "1.2.3", peer), "IHSNET") is None
        finally:
            process.kill()


def _store(peer: PeerAddress, objects: Sequence[Dataset]) -> None:
    ae = AE("CT1")
    ae.add_requested_context(CTImageStorage)
    assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title)
    spare_responses(assoc)
    for ds in objects:
        ds.PatientID = "P1"
        assert assoc.send_c_store(ds).Status == 0
    assoc.release()
