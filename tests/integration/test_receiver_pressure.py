"""The keeper under pressure: what one sender does to it reaches no other."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from receiver.catalogue.intake import BATCH, Catalogue
from receiver.commitment.reporter import CommitmentReporter
from receiver.commitment.result import CommitmentReport
from receiver.dispatch.planner import Planner
from receiver.dispatch.set_back import free_set_back
from receiver.inbox import SENDER, AssociationFolder, Inbox
from receiver.instance.columns import newest_headers
from receiver.protocol.file_meta import encode_file_meta
from schema.database import Database, read_clock
from schema.peers import PeerAddress, parse_addresses
from schema.queue import LONGEST_WAIT_S, may_be_taken
from schema.settings import Settings
from schema.states import JobState, SeriesState
from schema.tables import Commitment, Instance, Job, Series
from tests.support.deadline import DEADLINE_S
from tests.support.processes import wait_for
from tests.support.receivers import acceptors
from tests.support.rows import add_job, add_series, add_study
from tests.support.scu import CT, EXPLICIT, Address, encode, image, request
from worker.lease import claim, lock_job

GIGABYTE = 10**9
STRANGE = request(((CT, EXPLICIT),)).replace(b"CT1 ", b"CT\xc4 ")
DECODE = """
import sys
from receiver.protocol.negotiation import decode_request
from receiver.protocol.pdu import ProtocolError
from schema.log import set_up_log
from schema.settings import Settings
set_up_log(Settings())
try:
    decode_request(bytes.fromhex(sys.argv[1]))
except ProtocolError as error:
    print(error)
"""
JPEG_LS = "1.2.840.10008.1.2.4.80"
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


@pytest.fixture
def inbox(settings: Settings) -> Inbox:
    return Inbox(settings.storage, 0)


@pytest.fixture
def catalogue(settings: Settings, database: Database, inbox: Inbox) -> Catalogue:
    return Catalogue(database, settings.storage)


def keep(folder: AssociationFolder, uid: str, syntax: str = EXPLICIT, **given: object) -> Path:
    """Put an object into the inbox, as an acceptor does."""
    incoming = folder.begin(encode_file_meta(CT, uid, syntax), GIGABYTE)
    incoming.write(memoryview(encode(image(uid, **given))))
    return incoming.keep()


def newest_paths(database: Database) -> dict[str, str]:
    with database.reading() as session:
        return {
            instance.sop_instance_uid: instance.header["series_description"]
            for series in session.scalars(sa.select(Series))
            for instance in series.newest_instances()
            if instance.header
        }


def test_behind_thousands_of_images_another_patients_head_is_in_the_first_step(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    perfusion = inbox.open_association("CT1", "127.0.0.1")
    for number in range(2 * BATCH):
        keep(perfusion, f"1.2.3.{number}")
    head = inbox.open_association("CT2", "127.0.0.2")
    for number in range(32):
        keep(head, f"1.2.4.{number}", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1")
    assert catalogue.take_some() <= BATCH
    with database.reading() as session:
        query = sa.select(sa.func.count()).where(Instance.sop_instance_uid.startswith("1.2.4."))
        assert session.scalar(query) == 32


def test_the_smallest_series_is_decided_on_first(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = inbox.open_association("CT1", "127.0.0.1")
    for number in range(40):
        keep(folder, f"1.2.3.{number}", SeriesInstanceUID="1.2.3.1")
    for number in range(8):
        keep(folder, f"1.2.4.{number}", StudyInstanceUID="1.2.4", SeriesInstanceUID="1.2.4.1")
    catalogue.take_in()
    planner = Planner.of(settings.model_copy(update={"series_silence_s": 0.2}), database)
    with database.transaction() as session:
        for series in session.scalars(sa.select(Series)):
            series.last_instance_at -= timedelta(seconds=60)
    decided: list[int] = []
    decide = planner.decide

    def note(series_id: int, reason: str) -> bool:
        decided.append(series_id)
        return decide(series_id, reason)

    monkeypatch.setattr(planner, "decide", note)
    assert planner.plan() == 2
    with database.reading() as session:
        first = session.get_one(Series, decided[0])
        assert first.series_instance_uid == "1.2.4.1"


def test_the_headers_of_a_series_take_as_many_queries_as_those_of_an_image(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    folder = inbox.open_association("CT1", "127.0.0.1")
    keep(folder, "1.2.3.1")
    catalogue.take_in()
    few = header_queries(database)
    for number in range(2, 42):
        keep(folder, f"1.2.3.{number}")
    catalogue.take_in()
    assert header_queries(database) <= few


def header_queries(database: Database) -> int:
    """Count the queries that read the headers of the only series."""
    seen: list[str] = []

    def note(*given: object) -> None:
        seen.append(str(given[2]))

    with database.reading() as session:
        series_id = session.scalars(sa.select(Series.id)).one()
        sa.event.listen(database.engine, "before_cursor_execute", note)
        newest_headers(session, series_id, 5000)
        sa.event.remove(database.engine, "before_cursor_execute", note)
    return len(seen)


def test_after_a_pause_the_content_that_was_received_last_is_the_newest(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    for content in ("first", "second"):
        for number in range(12):
            folder = inbox.open_association("CT1", "127.0.0.1")
            keep(folder, f"1.2.3.{number}", SeriesDescription=content)
            folder.close()
    catalogue.take_in()
    assert set(newest_paths(database).values()) == {"second"}


def test_a_content_that_comes_back_is_the_newest_again(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    folder = inbox.open_association("CT1", "127.0.0.1")
    for content in ("first", "second", "first"):
        path = keep(folder, "1.2.3.1", SeriesDescription=content)
        stamp = time.time_ns()
        os.utime(path, ns=(stamp, stamp))
        catalogue.take_in()
    assert newest_paths(database) == {"1.2.3.1": "first"}


@pytest.mark.parametrize(
    "note",
    [
        "[" * 100_000,
        "\x00",
        json.dumps({"calling_ae": "a\x00b", "peer": "\ud800", "opened_at": "2026-01-02"}),
        json.dumps({"calling_ae": {}, "peer": [], "opened_at": "2026-01-02T03:04:05"}),
    ],
)
def test_a_spoilt_note_holds_up_no_other_association(
    database: Database, catalogue: Catalogue, inbox: Inbox, note: str
) -> None:
    spoilt = inbox.open_association("CT1", "127.0.0.1")
    keep(spoilt, "1.2.3.1")
    (spoilt.path / SENDER).write_text(note)
    keep(inbox.open_association("CT2", "127.0.0.2"), "1.2.3.2")
    assert catalogue.take_in() == 2


def test_a_clock_set_back_after_the_last_image_keeps_no_series_waiting(
    settings: Settings, database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    folder = inbox.open_association("CT1", "127.0.0.1")
    keep(folder, "1.2.3.1")
    catalogue.take_in()
    with database.transaction() as session:  # as the rows look once the clock was set back
        series = session.scalars(sa.select(Series)).one()
        series.first_instance_at += timedelta(hours=1)
        series.last_instance_at += timedelta(hours=1)
    planner = Planner.of(settings, database)

    def decided() -> bool:
        planner.plan()
        with database.reading() as session:
            return session.scalars(sa.select(Series)).one().state != SeriesState.RECEIVING

    assert wait_for("decision", decided)


HOUR = timedelta(hours=1)
SET_BACK: dict[str, dict[str, Any]] = {
    "never touched": {},
    "put back": {"waits_for": "StorageAwayError", "last_error": "storage: away"},
    "one attempt spent": {"attempts": 1, "last_error": "worker died"},
    "its host lost power": {"state": JobState.RUNNING, "attempts": 1, "owner": "gpu7:77:88:a-1"},
}


@pytest.mark.parametrize("columns", SET_BACK.values(), ids=SET_BACK.keys())
def test_a_clock_set_back_after_a_job_was_made_keeps_no_worker_waiting(
    settings: Settings, database: Database, columns: dict[str, Any]
) -> None:
    with database.transaction() as session:
        job = add_job(add_series(add_study(session), session), session)
        until = read_clock(session) + HOUR
        for name, value in ({"due_at": until, "lease_until": until} | columns).items():
            setattr(job, name, value)
    assert free_set_back(database, settings) == 1
    assert free_set_back(database, settings) == 0
    with database.reading() as session:
        over = read_clock(session) + timedelta(seconds=settings.lease_s)
        assert session.scalars(
            sa.select(Job.id).where(may_be_taken(over), Job.due_at <= over)
        ).all()


def test_a_worker_that_lives_keeps_its_job_when_the_clock_is_set_back(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        job_id = add_job(add_series(add_study(session), session), session).id
    lease = claim(database, job_id, settings)
    assert lease is not None
    with database.transaction() as session:
        session.get_one(Job, job_id).lease_until = read_clock(session) + HOUR
    assert free_set_back(database, settings) == 1
    assert claim(database, job_id, settings) is None
    with database.transaction() as session:
        assert lock_job(session, lease).id == job_id


def test_leases_and_pauses_of_a_clock_that_goes_on_are_left_alone(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        now, study = read_clock(session), add_study(session)
        running, waiting = (add_job(add_series(study, session), session) for _ in range(2))
        running.state = JobState.RUNNING
        running.lease_until = now + timedelta(seconds=settings.lease_s)
        waiting.last_error = "device: full"
        waiting.due_at = now + timedelta(seconds=LONGEST_WAIT_S)
    assert free_set_back(database, settings) == 0


def test_six_peers_that_hang_hold_up_no_answer_to_the_seventh(
    settings: Settings, database: Database, inbox: Inbox
) -> None:
    peers = parse_addresses(",".join(f"CT{number}=127.0.0.1:1" for number in range(1, 8)))
    released, heard = threading.Event(), threading.Event()

    def send(_report: CommitmentReport, peer: PeerAddress) -> None:
        if peer.ae_title == "CT7":
            heard.set()
        else:
            released.wait(DEADLINE_S)

    own = settings.model_copy(update={"commitment_peers": peers})
    with database.transaction() as session:
        now = read_clock(session)
        for number in range(1, 8):
            reference = {"sop_class_uid": CT, "sop_instance_uid": "1.2.3"}
            session.add(
                Commitment(
                    name=f"n{number}", transaction_uid="1.2.9", calling_ae=f"CT{number}",
                    references={"objects": [reference]}, requested_at=now, due_at=now,
                )
            )  # fmt: skip
    reporter = CommitmentReporter(own, database, send)
    threading.Thread(target=reporter.deliver_due, daemon=True).start()
    try:
        assert heard.wait(DEADLINE_S)
    finally:
        released.set()


def test_an_object_sent_again_in_another_syntax_to_the_byte_is_still_whole_in_the_store(
    settings: Settings, database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    for syntax in (EXPLICIT, JPEG_LS):
        keep(inbox.open_association("CT1", "127.0.0.1"), "1.2.3.1", syntax)
        catalogue.take_in()
    with database.reading() as session:
        (row,) = session.scalars(sa.select(Instance))
    assert (settings.storage / row.path).stat().st_size == row.size_bytes
    assert not list((settings.storage / "inbox").glob("*/*.dcm"))


def test_what_is_received_is_for_its_owner_alone(settings: Settings, database: Database) -> None:
    with acceptors(settings.home) as ports:
        assert ports
    open_to_others = [
        str(path) for path in settings.home.rglob("*") if path.lstat().st_mode & 0o077
        and path.is_relative_to(settings.storage)
    ]  # fmt: skip
    assert open_to_others == []
    assert settings.storage.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def address(settings: Settings) -> Iterator[Address]:
    with acceptors(settings.home) as ports:
        yield ports["plain"]


def answer_to(address: Address, body: bytes) -> bytes:
    with socket.create_connection(address, 60) as connection:
        connection.sendall(body)
        return connection.recv(1)


def test_letters_in_a_request_that_dicom_does_not_know_end_the_association(
    address: Address,
) -> None:
    assert answer_to(address, STRANGE) == b"\x07"


def test_letters_in_a_request_that_dicom_does_not_know_give_no_traceback(
    settings: Settings,
) -> None:
    said = subprocess.run(
        [sys.executable, "-c", DECODE, STRANGE[6:].hex()], capture_output=True, text=True
    )
    assert "malformed A-ASSOCIATE-RQ" in said.stdout
    assert said.stderr == ""


@pytest.mark.parametrize(("longest", "answer"), [(1, b"\x03"), (7, b"\x03"), (8, b"\x02")])
def test_a_peer_that_takes_no_response_is_rejected(
    address: Address, longest: int, answer: bytes
) -> None:
    given = b"\x51\0\0\x04" + (16_384).to_bytes(4, "big")
    body = request(((CT, EXPLICIT),))
    assert given in body
    assert answer_to(address, body.replace(given, given[:4] + longest.to_bytes(4, "big"))) == answer
