"""Storage commitment with real requestors: what they are told is what lies on disk."""

import json
import queue
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from sqlalchemy import select

from receiver.catalogue.intake import Catalogue
from receiver.commitment.reporter import CommitmentReporter
from schema.database import Database
from schema.dicom import PUSH_MODEL, PUSH_MODEL_INSTANCE
from schema.peers import parse_addresses
from schema.requestor import spare_responses
from schema.settings import Settings
from schema.tables import Commitment
from tests.support.deadline import DEADLINE_S
from tests.support.phantoms import FEW_MM, Phantom, write
from tests.support.processes import free_port, wait_for
from tests.support.receivers import acceptors
from tests.support.scu import Address

pytestmark = pytest.mark.slow  # starts a receiver for each test


@dataclass
class Scanner:
    """A node that sends, asks for commitment and listens for the answer."""

    port: int = 0
    status: int = 0x0000
    events: "queue.Queue[tuple[int, Dataset]]" = field(default_factory=queue.Queue)

    def on_event(self, event: evt.Event) -> tuple[int, None]:
        self.events.put((event.event_type, event.event_information))
        return self.status, None

    def send(self, address: Address, datasets: list[Dataset]) -> None:
        with associated(address, CTImageStorage) as assoc:
            assert {assoc.send_c_store(ds).Status for ds in datasets} <= {0x0000}

    def ask(self, address: Address, uids: list[str], sop_class: str = CTImageStorage) -> int:
        """Send an N-ACTION and give its status."""
        with associated(address, PUSH_MODEL) as assoc:
            status, _ = assoc.send_n_action(
                action_information(uids, sop_class), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE
            )
            return int(status.Status)


def action_information(uids: list[str], sop_class: str) -> Dataset:
    information = Dataset()
    information.TransactionUID = "1.2.826.1"
    information.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        information.ReferencedSOPSequence.append(item)
    return information


@contextmanager
def associated(address: Address, abstract_syntax: str) -> Iterator[Any]:
    ae = AE("CT1")
    ae.add_requested_context(abstract_syntax)
    assoc = ae.associate(*address, ae_title="IHSNET")
    assert assoc.is_established
    spare_responses(assoc)
    yield assoc
    assoc.release()


@pytest.fixture
def scanner() -> Iterator[Scanner]:
    scanner = Scanner()
    ae = AE("CT1")
    ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, scanner.on_event)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    scanner.port = server.server_address[1]
    yield scanner
    server.shutdown()


@pytest.fixture
def port(settings: Settings) -> Iterator[Address]:
    given = {"commitment_peers": "CT1=127.0.0.1:1,ORTHANC=127.0.0.1:1"}
    with acceptors(settings.home, **given) as ports:
        yield ports["plain"]


def reporter_for(settings: Settings, database: Database, scanner_port: int) -> CommitmentReporter:
    peers = parse_addresses(f"CT1=127.0.0.1:{scanner_port},ORTHANC=127.0.0.1:{scanner_port}")
    return CommitmentReporter(settings.model_copy(update={"commitment_peers": peers}), database)


def reported(scanner: Scanner) -> tuple[int, Dataset]:
    return scanner.events.get(timeout=DEADLINE_S)


def test_a_scanner_is_told_what_is_safe_and_what_is_not(
    settings: Settings, database: Database, port: Address, scanner: Scanner
) -> None:
    datasets = Phantom(FEW_MM).datasets
    scanner.send(port, datasets)
    uids = [str(ds.SOPInstanceUID) for ds in datasets]
    assert scanner.ask(port, [*uids, "1.2.3.404"]) == 0x0000
    Catalogue(database, settings.storage).take_in()
    reporter = reporter_for(settings, database, scanner.port)
    assert (reporter.collect(), reporter.deliver_due()) == (1, 1)
    event_type, event = reported(scanner)
    assert event_type == 2
    assert [item.ReferencedSOPInstanceUID for item in event.ReferencedSOPSequence] == uids
    (failed,) = event.FailedSOPSequence
    assert (failed.ReferencedSOPInstanceUID, failed.FailureReason) == ("1.2.3.404", 0x0112)
    assert reporter.deliver_due() == 0


def test_another_class_than_the_stored_one_is_a_conflict(
    settings: Settings, database: Database, port: Address, scanner: Scanner
) -> None:
    (ds,) = [Phantom((0.0,)).dataset(0)]
    scanner.send(port, [ds])
    scanner.ask(port, [str(ds.SOPInstanceUID)], SecondaryCaptureImageStorage)
    Catalogue(database, settings.storage).take_in()
    reporter = reporter_for(settings, database, scanner.port)
    reporter.collect()
    reporter.deliver_due()
    assert reported(scanner)[1].FailedSOPSequence[0].FailureReason == 0x0119


def test_what_is_acknowledged_but_not_catalogued_is_waited_for(
    settings: Settings, database: Database, port: Address, scanner: Scanner
) -> None:
    ds = Phantom((0.0,)).dataset(0)
    scanner.send(port, [ds])
    scanner.ask(port, [str(ds.SOPInstanceUID)])
    reporter = reporter_for(settings, database, scanner.port)
    reporter.collect()
    assert reporter.deliver_due() == 0
    Catalogue(database, settings.storage).take_in()
    wait_for("report", reporter.deliver_due, DEADLINE_S)
    assert reported(scanner)[0] == 1


def test_an_object_that_is_stuck_withholds_no_answer_for_ever(
    settings: Settings,
    database: Database,
    port: Address,
    scanner: Scanner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scanner.send(port, [Phantom((0.0,)).dataset(0)])
    scanner.ask(port, ["1.2.3.404"])
    reporter = reporter_for(settings, database, scanner.port)
    reporter.collect()
    assert reporter.deliver_due() == 0
    monkeypatch.setattr("receiver.commitment.reporter.LONGEST_WAIT_S", 0)
    wait_for("report", reporter.deliver_due, DEADLINE_S)
    event_type, event = reported(scanner)
    assert event_type == 2
    assert event.FailedSOPSequence[0].FailureReason == 0x0112


def test_an_object_whose_file_is_gone_is_not_committed(
    settings: Settings, database: Database, port: Address, scanner: Scanner
) -> None:
    ds = Phantom((0.0,)).dataset(0)
    scanner.send(port, [ds])
    Catalogue(database, settings.storage).take_in()
    for path in (settings.storage / "received").rglob("*.dcm"):
        path.unlink()
    scanner.ask(port, [str(ds.SOPInstanceUID)])
    reporter = reporter_for(settings, database, scanner.port)
    reporter.collect()
    reporter.deliver_due()
    assert reported(scanner)[1].FailedSOPSequence[0].FailureReason == 0x0112


@pytest.mark.parametrize(
    "moved",
    [timedelta(0), timedelta(hours=2)],
    ids=["its pause is over", "the clock was set back amid its pause"],
)
def test_a_report_that_fails_is_sent_again_until_it_is_heard(
    settings: Settings, database: Database, port: Address, scanner: Scanner, moved: timedelta
) -> None:
    scanner.status = 0x0110
    scanner.ask(port, ["1.2.3.404"])
    reporter = reporter_for(settings, database, scanner.port)
    reporter.collect()
    assert reporter.deliver_due() == 0
    reported(scanner)
    with database.transaction() as session:
        row = session.scalars(select(Commitment)).one()
        assert "0x0110" in (row.last_error or "")
        assert row.due_at is not None
        row.due_at = row.requested_at + moved
    scanner.status = 0x0000
    assert reporter.deliver_due() == 1
    reported(scanner)


# pynetdicom leaves a socket to the garbage collector when nobody listens.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_request_is_kept_while_nobody_listens(
    settings: Settings, database: Database, port: Address, scanner: Scanner
) -> None:
    scanner.ask(port, ["1.2.3.404"])
    reporter = reporter_for(settings, database, scanner_port=1)
    reporter.collect()
    assert reporter.deliver_due() == 0
    with database.reading() as session:
        assert session.scalars(select(Commitment)).one().due_at is not None


def test_a_requestor_without_an_address_is_told_so_at_once(
    settings: Settings, scanner: Scanner
) -> None:
    with acceptors(settings.home) as ports:
        assert scanner.ask(ports["plain"], ["1.2.3"]) == 0x0124


def test_a_request_about_nothing_is_an_invalid_argument(port: Address, scanner: Scanner) -> None:
    assert scanner.ask(port, []) == 0x0115


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator["Orthanc"]:
    program = shutil.which("Orthanc")
    if program is None:
        pytest.skip("Orthanc is not installed")
    orthanc = Orthanc(free_port(), free_port())
    yield orthanc
    orthanc.stop()


@dataclass
class Orthanc:
    """A real archive that sends to us and asks us to commit."""

    dicom_port: int
    http_port: int
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, folder: Path, receiver: Address) -> None:
        configuration = {
            "Name": "test", "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"), "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port, "HttpPort": self.http_port,
            "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
            "DicomModalities": {"ihsnet": ["IHSNET", *receiver]},
            "DicomCheckModalityHost": False,
        }  # fmt: skip
        path = folder / "orthanc.json"
        path.write_text(json.dumps(configuration))
        self.process = subprocess.Popen(
            ["Orthanc", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for("Orthanc", self.answers, DEADLINE_S)

    def answers(self) -> bool:
        try:
            self.call("/system")
        except OSError:
            return False
        return True

    def call(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.http_port}{path}"
        with urllib.request.urlopen(
            urllib.request.Request(url, data=body), timeout=DEADLINE_S
        ) as answer:
            return json.loads(answer.read())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()  # a quiet end takes Orthanc 20 s
            self.process.wait()


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_orthanc_hears_that_what_it_sent_is_safe(
    settings: Settings, database: Database, port: Address, orthanc: Orthanc, tmp_path: Path
) -> None:
    orthanc.start(tmp_path, port)
    (path,) = write([Phantom((0.0,)).dataset(0)], tmp_path / "sent")
    stored = orthanc.call("/instances", path.read_bytes())
    order = {"Resources": [stored["ID"]], "StorageCommitment": True, "Synchronous": True}
    sent = orthanc.call("/modalities/ihsnet/store", json.dumps(order).encode())
    transaction = sent["StorageCommitmentTransactionUID"]
    Catalogue(database, settings.storage).take_in()
    reporter = reporter_for(settings, database, orthanc.dicom_port)
    wait_for("request", reporter.collect, DEADLINE_S)
    assert reporter.deliver_due() == 1
    verdict = orthanc.call(f"/storage-commitment/{transaction}")
    assert (verdict["Status"], len(verdict["Success"])) == ("Success", 1)
