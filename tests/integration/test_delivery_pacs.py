"""Objects reach real archives once, are proved to be there, and wait while an archive is away."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa
import trustme
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from schema.database import Database
from schema.settings import Settings
from schema.states import DeliveryState
from schema.tables import Destination, Job, ResultObject
from tests.support.archives import Orthanc, storescp
from tests.support.deadline import DEADLINE_S
from tests.support.outbox import Outbox
from tests.support.processes import free_port, wait_for
from worker.delivery import breaker
from worker.delivery.claims import claim
from worker.delivery.listener import CommitmentListener
from worker.delivery.outbox import enqueue_job
from worker.delivery.probing import probe

# pynetdicom lets the collector close a socket that was refused.
# Slow: starts an archive for each test.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PACS = """
listen_host = "127.0.0.1"
listen_port = {listen}
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
confirm = "{confirm}"
timeout_s = 5
confirm_s = 0.2
first_pause_s = 0.05
probe_s = 0.2
{more}
"""

PROFILE = (
    "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
    "[[PresentationContexts]]\n[SR]\n"
    "PresentationContext1 = 1.2.840.10008.5.1.4.1.1.88.34\\Plain\n"
    "[[Profiles]]\n[Default]\nPresentationContexts = SR\n"
)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    archive = Orthanc(tmp_path / "orthanc", free_port())
    archive.start()
    yield archive
    archive.stop()


def outbox(
    settings: Settings,
    database: Database,
    port: int,
    confirm: str = "find",
    listen: int = 1,
    more: str = "",
) -> Outbox:
    toml = PACS.format(port=port, confirm=confirm, listen=listen, more=more)
    return Outbox.make(settings, database, toml)


def deliver_until(box: Outbox, *states: DeliveryState) -> None:
    """Deliver, as the service does, until every row is in one of these states."""
    courier = box.courier("PACS")
    names = {state.value for state in states}

    def over() -> bool:
        courier.deliver_due()
        return box.states() <= names

    wait_for(f"{names}", over)


@pytest.mark.parametrize("confirm", ["find", "commitment"])
def test_orthanc_keeps_every_kind_and_gives_it_back_unchanged(
    confirm: str, settings: Settings, database: Database, orthanc: Orthanc
) -> None:
    box = outbox(settings, database, orthanc.port, confirm, orthanc.listen_port)
    box.add("1.2.840.1", kinds=("SEG", "SR", "SC", "KO"))
    listener = CommitmentListener(box.places, settings, database)
    listener.start()
    try:
        deliver_until(box, DeliveryState.COMMITTED)
    finally:
        listener.stop()
    sent = {row.key: dcmread(settings.storage / path_of(row, database)) for row in box.rows()}
    kept = [dcmread(DicomBytesIO(orthanc.file(instance))) for instance in orthanc.instances()]
    assert {ds.SOPInstanceUID: ds for ds in kept} == sent
    assert {ds.Modality for ds in kept} == {"SEG", "SR", "OT", "KO"}


def path_of(row: object, database: Database) -> str:
    with database.reading() as session:
        merged = session.merge(row, load=True)
        return str(merged.object.path)


def test_who_takes_no_overlay_is_sent_none(
    settings: Settings, database: Database, orthanc: Orthanc
) -> None:
    more = 'profile = "triage-only"'
    box = outbox(settings, database, orthanc.port, more=more)
    box.add("1.2.840.1", kinds=("SEG", "SR", "SC", "KO"))
    deliver_until(box, DeliveryState.COMMITTED)
    kept = [dcmread(DicomBytesIO(orthanc.file(instance))) for instance in orthanc.instances()]
    assert sorted(ds.Modality for ds in kept) == ["OT", "SR"]


def test_fifty_studies_arrive_once_and_most_urgent_first_when_the_archive_is_back(
    settings: Settings, database: Database, orthanc: Orthanc
) -> None:
    box = outbox(settings, database, orthanc.port)
    orthanc.stop()
    levels = {f"1.2.840.{number}": number % 5 for number in range(1, 51)}
    for uid, level in levels.items():
        box.add(uid, level)
    courier = box.courier("PACS")
    assert courier.deliver_due() == 0
    assert box.states() == {"WAITING"}
    orthanc.start()
    deliver_until(box, DeliveryState.COMMITTED)
    arrived = orthanc.arrivals()
    assert len(arrived) == len(box.rows()) == len(orthanc.instances())
    urgencies = [levels[uid] if levels[uid] in (1, 2, 3) else 4 for uid in arrived]
    assert urgencies == sorted(urgencies)


def test_a_dead_archive_is_left_alone_for_a_while(settings: Settings, database: Database) -> None:
    box = outbox(settings, database, free_port(), more="")
    box.add("1.2.840.1")
    target = box.places.named("PACS").model_copy(update={"first_pause_s": 60, "probe_s": 60})
    courier = box.courier("PACS")
    courier.target = target
    assert [courier.deliver_due() for _ in range(4)] == [0] * 4
    assert claim(database, target) == ()
    (row, *_) = box.rows()
    assert (row.state, row.attempts) == (DeliveryState.WAITING, 0)  # it is not its fault
    with database.reading() as session:
        assert session.get_one(Destination, "PACS").failures == 1
    assert "is not reachable" in str(row.last_error)
    assert "check host, port" in str(row.last_error)


def test_an_object_that_the_archive_has_no_context_for_is_reported_and_not_retried(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    profile = tmp_path / "storescp.cfg"
    profile.write_text(PROFILE)
    with storescp(tmp_path / "kept", "-xf", str(profile), "Default") as port:
        box = outbox(settings, database, port, confirm="none")
        box.add("1.2.840.1")
        courier = box.courier("PACS")
        courier.deliver_due()
        again = courier.deliver_due()
        findings = probe(box.places.named("PACS"), settings)
    with database.reading() as session:
        states = {session.merge(row).object.kind: row.state for row in box.rows()}
    assert states == {
        "SEG": DeliveryState.FAILED,
        "SR": DeliveryState.DELIVERED,
        "KO": DeliveryState.FAILED,
    }
    assert again == 0
    failed = box.rows(DeliveryState.FAILED)[0]
    assert "accepts no presentation context for Segmentation Storage" in str(failed.last_error)
    assert "does not accept SEG: take it out of objects" in "\n".join(
        finding.text for finding in findings
    )


def test_an_archive_that_takes_none_of_our_classes_is_not_asked_for_ever(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    profile = tmp_path / "storescp.cfg"
    profile.write_text(PROFILE.replace("88.34", "2"))
    with storescp(tmp_path / "kept", "-xf", str(profile), "Default") as port:
        box = outbox(settings, database, port)
        box.add("1.2.840.1")
        box.courier("PACS").deliver_due()
    assert box.states() == {"FAILED"}
    assert "accepts no presentation context of ours" in str(box.rows()[0].last_error)


def test_a_destination_that_is_held_gets_nothing(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "kept") as port:
        box = outbox(settings, database, port, confirm="none", more='objects = ["SR"]')
        box.add("1.2.840.1")
        breaker.set_held(database, "PACS", held=True)
        assert box.courier("PACS").deliver_due() == 0
        breaker.set_held(database, "PACS", held=False)
        assert box.courier("PACS").deliver_due() == 1
    assert box.states() == {"DELIVERED"}


def test_an_archive_that_does_not_find_what_it_accepted_is_not_shown_as_holding_it(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "kept") as port:  # it has no C-FIND
        box = outbox(settings, database, port, confirm="find", more='objects = ["SR"]')
        box.add("1.2.840.1")
        box.courier("PACS").deliver_due()
    assert box.states() == {"SENT"}


def test_what_is_too_old_is_given_up_with_its_reason(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database, free_port(), more="give_up_h = 0.0000001")
    box.add("1.2.840.1")
    deliver_until(box, DeliveryState.FAILED)
    assert "given up after" in str(box.rows()[0].last_error)


def test_the_very_same_object_is_owed_once(settings: Settings, database: Database) -> None:
    box = outbox(settings, database, free_port())
    box.add("1.2.840.1")
    before = len(box.rows())
    with database.transaction() as session:
        job = session.scalars(sa.select(Job)).one()
        names = ("kind", "sop_instance_uid", "path", "sha256", "audience")
        same = [{name: getattr(written, name) for name in names} for written in job.objects]
        job.objects += [ResultObject(**values) for values in same]
        assert enqueue_job(session, job, box.places) == 0
    assert len(box.rows()) == before


@dataclass(frozen=True)
class Certificates:
    """Files of one authority: the archive's certificate, and ours."""

    folder: Path

    def issue(self, authority: trustme.CA, name: str) -> None:
        """Write key and certificate of a host, and the authority's."""
        issued = authority.issue_cert(name)
        issued.private_key_pem.write_to_path(self.folder / f"{name}.key")
        issued.cert_chain_pems[0].write_to_path(self.folder / f"{name}.pem")
        authority.cert_pem.write_to_path(self.folder / "ca.pem")

    def storescp_options(self) -> tuple[str, ...]:
        """Ask for TLS, and for a certificate of the caller."""
        own = (str(self.folder / "localhost.key"), str(self.folder / "localhost.pem"))
        return ("+tls", *own, "+cf", str(self.folder / "ca.pem"))


SECURED = """
[destinations.PACS]
kind = "dicom"
host = "localhost"
port = {port}
ae_title = "PACS"
confirm = "none"
first_pause_s = 0.05
probe_s = 0.1
tls = true
tls_ca = "{authority}"
tls_certificate = "{folder}/triage.pem"
tls_key = "{folder}/triage.key"
"""


def secured(
    settings: Settings, database: Database, files: Certificates, port: int, authority: Path
) -> Outbox:
    toml = SECURED.format(port=port, folder=files.folder, authority=authority)
    return Outbox.make(settings, database, toml)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    authority, files = trustme.CA(), Certificates(tmp_path)
    for name in ("localhost", "triage"):
        files.issue(authority, name)
    return files


def test_an_archive_that_asks_for_a_certificate_gets_results_over_tls(
    settings: Settings, database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    with storescp(tmp_path / "archive", *certificates.storescp_options()) as port:
        box = secured(settings, database, certificates, port, tmp_path / "ca.pem")
        box.add("1.2.3", kinds=("SR",))
        deliver_until(box, DeliveryState.DELIVERED)
    assert len(list((tmp_path / "archive").iterdir())) == 1


def test_an_archive_with_a_certificate_of_somebody_else_gets_nothing_and_is_named(
    settings: Settings, database: Database, certificates: Certificates, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)
    with storescp(tmp_path / "archive", *certificates.storescp_options()) as port:
        box = secured(settings, database, certificates, port, stranger)
        box.add("1.2.3", kinds=("SR",))
        box.courier("PACS").deliver_due()
    (row,) = box.rows()
    assert row.state is DeliveryState.WAITING
    assert "certificate" in (row.last_error or "")
    assert list((tmp_path / "archive").iterdir()) == []


def test_two_workers_send_each_object_once(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "archive") as port:
        box = outbox(settings, database, port, "none")
        for number in range(12):
            box.add(f"1.2.3.{number}", kinds=("SR",))
        threads = [Thread(target=deliver_until, args=(box, DeliveryState.DELIVERED)) for _ in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
    assert len(list((tmp_path / "archive").iterdir())) == 12
    assert [row.attempts for row in box.rows()] == [1] * 12
