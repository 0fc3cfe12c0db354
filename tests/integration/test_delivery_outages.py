"""What was held, switched off, damaged or unmounted for a while costs no result its delivery."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import update
from typer.testing import CliRunner

from schema.database import Database, read_clock
from schema.settings import Settings
from schema.states import DeliveryState
from schema.tables import Delivery, Destination
from tests.support.archives import Archive, committing_archive, storescp
from tests.support.outbox import Outbox
from tests.support.processes import free_port, wait_for
from worker.delivery import breaker, listing
from worker.delivery.claims import Ledger, claim
from worker.delivery.commands import app
from worker.delivery.confirming import Report, note_missing, take_unconfirmed
from worker.delivery.destinations import DicomDestination
from worker.delivery.listener import CommitmentListener
from worker.delivery.service import Sender, make_sender
from worker.delivery.standing import read_standings
from worker.delivery.statuses import ConnectionLostError, DestinationDownError, NotNowError

# pynetdicom lets the collector close a socket that was refused.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PACS = """
listen_host = "127.0.0.1"
listen_port = {listen}
[destinations.PACS]
kind = "dicom"
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
confirm = "{confirm}"
confirm_s = {confirm_s}
objects = ["KO"]
first_pause_s = 0.05
probe_s = 0.2
"""
STUDIES = ("1.2.840.1", "1.2.840.2", "1.2.840.3")


def outbox(
    settings: Settings,
    database: Database,
    port: int = 1,
    confirm: str = "none",
    listen: int = 1,
    confirm_s: float = 0.001,
) -> Outbox:
    toml = PACS.format(port=port, confirm=confirm, listen=listen, confirm_s=confirm_s)
    box = Outbox.make(settings, database, toml)
    for study in STUDIES:
        box.add(study, kinds=("KO",))
    return box


def archive_of(box: Outbox) -> DicomDestination:
    target = box.places.named("PACS")
    assert isinstance(target, DicomDestination)
    return target


def let_pass(database: Database, hours: float) -> None:
    """Do what so many hours do in which nobody delivers."""
    ago = timedelta(hours=hours)
    columns = ("created_at", "due_at", "lease_until", "sent_at")
    with database.transaction() as session:
        for row in session.query(Delivery):
            for name in columns:
                moment = getattr(row, name)
                setattr(row, name, None if moment is None else moment - ago)


def make_due(database: Database) -> None:
    with database.transaction() as session:
        session.execute(update(Delivery).values(due_at=read_clock(session)))


def send_all(box: Outbox) -> Sender:
    target = archive_of(box)
    sender = make_sender(target, box.database, box.settings)
    while rows := claim(box.database, target):
        sender.send(rows, Ledger(box.database, target))
    return sender


def accept_all(box: Outbox, target: DicomDestination) -> None:
    """Note each row as sent by a worker that wants a confirmation."""
    while rows := claim(box.database, target):
        for row in rows:
            Ledger(box.database, target).done(row, DeliveryState.SENT)


def files(box: Outbox) -> list[Path]:
    """Give the file of each study, in their order."""
    return [box.settings.storage / f"results/{row.key}.dcm" for row in box.rows()]


def spoil(box: Outbox) -> None:
    """Lose the first file, and the second half of the second."""
    first, second, _ = files(box)
    first.unlink()
    second.write_bytes(second.read_bytes()[:1000])


def test_a_file_that_is_missing_or_damaged_keeps_no_other_from_being_sent(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "kept") as port:
        box = outbox(settings, database, port)
        spoil(box)
        send_all(box)
    missing, damaged, sent = box.rows()
    assert (missing.state, damaged.state) == (DeliveryState.WAITING, DeliveryState.FAILED)
    assert sent.state is DeliveryState.DELIVERED
    assert "check the storage" in str(missing.last_error)
    assert "damaged, not what was written" in str(damaged.last_error)


def test_a_file_that_is_missing_or_damaged_keeps_no_other_from_being_confirmed(
    settings: Settings, database: Database
) -> None:
    with committing_archive() as archive:
        box = outbox(settings, database, archive.port, "commitment")
        sender = send_all(box)
        spoil(box)
        assert sender.confirm() == 1
    missing, damaged, asked = box.rows()
    (request,) = archive.requests
    (reference,) = request.ReferencedSOPSequence
    assert reference.ReferencedSOPInstanceUID == asked.key
    assert (missing.state, damaged.state) == (DeliveryState.SENT, DeliveryState.FAILED)
    assert "not confirmed" in str(missing.last_error)


def test_a_report_on_an_earlier_request_counts(settings: Settings, database: Database) -> None:
    with committing_archive() as archive:
        box = outbox(settings, database, archive.port, "commitment", free_port())
        sender = send_all(box)
        assert sender.confirm() == 3
        make_due(database)
        assert sender.confirm() == 3
        listener = CommitmentListener(box.places, settings, database)
        listener.start()
        try:
            report_first(archive, box)
        finally:
            listener.stop()
    first, second = (request.TransactionUID for request in archive.requests)
    assert first != second
    assert box.states() == {"COMMITTED"}


def report_first(archive: Archive, box: Outbox) -> None:
    assert box.places.listen_port is not None
    archive.report(box.places.listen_port, archive.requests[0])


def test_an_archive_reports_on_nothing_that_another_was_sent(
    settings: Settings, database: Database
) -> None:
    with committing_archive() as archive:
        box = outbox(settings, database, archive.port, "commitment", free_port())
        send_all(box).confirm()
        with database.transaction() as session:
            session.execute(update(Delivery).values(destination="OTHER"))
        listener = CommitmentListener(box.places, settings, database)
        listener.start()
        try:
            report_first(archive, box)
        finally:
            listener.stop()
    assert box.states() == {"SENT"}


@pytest.mark.parametrize(("uid", "main"), [("2.25.1", "COMMITTED"), ("2.25.3", "SENT")])
def test_of_two_archives_of_one_title_the_transaction_tells_which_one_reports(
    settings: Settings, database: Database, uid: str, main: str
) -> None:
    box = outbox(settings, database, confirm="commitment")
    archives = [archive_of(box), archive_of(box).model_copy(update={"name": "BACKUP"})]
    with database.transaction() as session:
        rows = session.query(Delivery).order_by(Delivery.id).limit(2)
        for row, archive, asked in zip(rows, archives, ("2.25.1", "2.25.2"), strict=True):
            row.destination, row.key = archive.name, "1.2.3"
            row.state, row.transaction_uid = DeliveryState.SENT, asked
    report, reference = Dataset(), Dataset()
    reference.ReferencedSOPInstanceUID = "1.2.3"
    report.TransactionUID, report.ReferencedSOPSequence = uid, [reference]
    Report(database, archives).take("PACS", report)
    assert [row.state for row in box.rows()][:2] == [main, "SENT"]


def test_an_archive_that_takes_its_time_is_asked_less_and_less(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database, confirm="find", confirm_s=30)
    with database.transaction() as session:
        now = read_clock(session)
        sent = {"state": DeliveryState.SENT, "sent_at": now - timedelta(minutes=4), "due_at": now}
        session.execute(update(Delivery).values(**sent))
    assert len(take_unconfirmed(database, archive_of(box))) == 3
    for row in box.rows():
        assert timedelta(minutes=4) <= row.due_at - now < timedelta(minutes=5)


@pytest.mark.parametrize("was_tried", [False, True])
def test_what_was_held_for_days_is_tried_before_it_is_given_up(
    settings: Settings, database: Database, was_tried: bool
) -> None:
    box = outbox(settings, database)
    target, ledger = archive_of(box), Ledger(database, archive_of(box))
    if was_tried:
        for row in claim(database, target):
            ledger.failed(row, NotNowError("full"))
    breaker.set_held(database, "PACS", held=True)
    let_pass(database, 80)
    breaker.set_held(database, "PACS", held=False)
    rows = [*claim(database, target), *claim(database, target), *claim(database, target)]
    assert len(rows) == 3
    for row in rows:
        ledger.failed(row, NotNowError("still full"))
    assert claim(database, target) == ()
    assert box.states() == {"FAILED"}
    assert box.rows()[0].last_error == "given up after 72 hours: still full"


def test_what_was_accepted_before_days_of_silence_is_asked_about_before_it_is_given_up(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database, confirm="find")
    target = archive_of(box)
    accept_all(box, target)
    take_unconfirmed(database, target)
    let_pass(database, 80)
    assert claim(database, target) == ()
    assert box.states() == {"SENT"}
    assert len(take_unconfirmed(database, target)) == 3
    assert claim(database, target) == ()
    assert box.states() == {"SENT"}  # it has a while to answer
    make_due(database)
    assert claim(database, target) == ()
    assert box.states() == {"FAILED"}


def test_what_was_to_be_confirmed_is_over_where_nothing_is_asked_any_more(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database, confirm="find")
    accept_all(box, archive_of(box))
    claim(database, archive_of(box).model_copy(update={"confirm": "none"}))
    assert box.states() == {"DELIVERED"}


def test_what_an_archive_accepts_and_never_finds_is_given_up(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database, confirm="find", confirm_s=30)
    target = archive_of(box).model_copy(update={"longest_pause_s": 600})
    accept_all(box, target)
    let_pass(database, 20 / 60)  # the most until it is found missing
    for delivery in take_unconfirmed(database, target):
        note_missing(database, delivery)
    with database.transaction() as session:
        days_ago = read_clock(session) - timedelta(hours=80)
        session.execute(update(Delivery).values(created_at=days_ago))
    assert claim(database, target) == ()
    assert box.states() == {"FAILED"}


def test_what_could_not_be_tried_since_the_storage_is_away_is_not_given_up(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    let_pass(database, 80)
    settings.storage.rename(settings.storage.with_name("away"))
    for _ in range(4):
        make_due(database)
        box.courier("PACS").deliver_due()
    assert box.states() == {"WAITING"}


def test_what_ends_every_delivery_worker_is_given_up_too(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    while claim(database, archive_of(box)):
        pass
    with database.transaction() as session:
        old = read_clock(session) - timedelta(hours=80)
        lapsed = {"created_at": old, "lease_until": read_clock(session)}
        session.execute(update(Delivery).values(**lapsed))
    assert claim(database, archive_of(box)) == ()
    assert box.states() == {"FAILED"}


def test_nothing_is_given_up_because_its_archive_starts_later_than_we(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    target = archive_of(box)
    let_pass(database, 80)
    for _ in range(3):
        (row,) = claim(database, target)
        Ledger(database, target).release([row], DestinationDownError("refused"))
        breaker.note_failure(database, target, DestinationDownError("refused"))
        with database.transaction() as session:
            session.execute(update(Destination).values(open_until=None))
    assert box.states() == {"WAITING"}


def test_while_the_storage_is_away_nothing_is_sent_and_no_try_is_counted(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "kept") as port:
        box = outbox(settings, database, port)
        courier, away = box.courier("PACS"), settings.storage.with_name("away")
        settings.storage.rename(away)
        for _ in range(4):
            make_due(database)
            assert courier.deliver_due() == 0
        assert {(row.state.value, row.attempts) for row in box.rows()} == {("WAITING", 0)}
        assert any("not mounted" in str(row.last_error) for row in box.rows())
        away.rename(settings.storage)
        wait_for("deliveries", lambda: courier.deliver_due() and box.states() == {"DELIVERED"})


def test_a_storage_that_goes_while_objects_are_sent_counts_no_try(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with storescp(tmp_path / "kept") as port:
        box = outbox(settings, database, port)
        sender = make_sender(archive_of(box), database, settings)
        rows = claim(database, archive_of(box))
        files(box)[0].unlink()
        looks = iter([None, "not mounted"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("worker.delivery.pacs.why_away", lambda _: next(looks))
            assert sender.send(rows, Ledger(database, archive_of(box))) == 0
    row = box.rows()[0]
    assert (row.state, row.attempts) == (DeliveryState.WAITING, 0)


def test_a_replay_lets_nothing_wait_out_its_pause(settings: Settings, database: Database) -> None:
    box = outbox(settings, database)
    target = archive_of(box)
    hour = target.model_copy(update={"first_pause_s": 3600})
    while rows := claim(database, target):
        for row in rows:
            Ledger(database, hour).failed(row, NotNowError("full"))
    assert listing.replay(database, destinations=["PACS"], study_uid=None, everything=False) == 3
    assert len(claim(database, target)) == 1


@pytest.fixture
def renamed(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> Outbox:
    """Owe three deliveries to a PACS that the file calls NEWPACS since."""
    box = outbox(settings, database)
    path = settings.home / "destinations.toml"
    path.write_text(path.read_text().replace("destinations.PACS", "destinations.NEWPACS"))
    after = settings.model_copy(update={"destinations": path})
    monkeypatch.setattr("worker.delivery.commands.settings_or_exit", lambda: after)
    monkeypatch.setattr("worker.delivery.commands.open_database", lambda _: database)
    monkeypatch.setattr("worker.delivery.commands.set_up_log", lambda _: None)
    return box


def command(*arguments: str) -> str:
    return CliRunner().invoke(app, [*arguments]).output


def oldest_s(box: Outbox) -> float:
    with box.database.reading() as session:
        found = {each.name: each for each in read_standings(session, ("NEWPACS",))}
    return found["PACS"].oldest_s


def test_a_destination_that_left_the_file_is_named_so(renamed: Outbox) -> None:
    lines = command().splitlines()
    (line,) = [line for line in lines if line.split()[:1] == ["PACS"]]
    assert "3 WAITING" in line
    assert "not in TRIAGE_DESTINATIONS" in line
    assert not [line for line in lines if "NEWPACS" in line and "not in" in line]


def test_what_is_owed_to_a_destination_that_left_the_file_ends_by_a_command(
    renamed: Outbox,
) -> None:
    breaker.note_failure(renamed.database, archive_of(renamed), DestinationDownError("away"))
    let_pass(renamed.database, hours=2)
    with renamed.database.transaction() as session:  # one was accepted, one a killed worker left
        _, sent, killed = session.query(Delivery).order_by(Delivery.id)
        sent.state, sent.sent_at = DeliveryState.SENT, read_clock(session)
        killed.state = DeliveryState.SENDING
        killed.lease_until = read_clock(session) - timedelta(seconds=1)
    assert oldest_s(renamed) > 3600
    assert "3 deliveries to PACS are dropped" in command("drop", "PACS")
    assert oldest_s(renamed) == 0
    states = [DeliveryState.SUPERSEDED, DeliveryState.DELIVERED, DeliveryState.SUPERSEDED]
    assert [row.state for row in renamed.rows()] == states
    assert all("dropped by" in str(row.last_error) for row in renamed.rows())
    with renamed.database.reading() as session:
        assert session.get(Destination, "PACS") is None


def test_nothing_is_dropped_that_is_in_the_file(renamed: Outbox) -> None:
    assert "NEWPACS is in TRIAGE_DESTINATIONS" in command("drop", "NEWPACS")


def test_nothing_is_dropped_where_there_is_no_file(
    renamed: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.delivery.commands.settings_or_exit", lambda: renamed.settings)
    assert "TRIAGE_DESTINATIONS is unset here" in command("drop", "PACS")
    assert renamed.states() == {"WAITING"}


def test_where_there_is_no_file_nothing_is_replayed_and_the_table_says_so(
    renamed: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.delivery.commands.settings_or_exit", lambda: renamed.settings)
    assert "TRIAGE_DESTINATIONS is unset here" in command("replay", "--all")
    assert "TRIAGE_DESTINATIONS is unset here" in command()


def test_nothing_is_dropped_while_a_worker_with_the_old_file_sends(renamed: Outbox) -> None:
    assert claim(renamed.database, archive_of(renamed))
    assert "restart the workers first" in command("drop", "PACS")
    assert renamed.states() == {"WAITING", "SENDING"}


def test_a_replay_owes_nothing_to_a_destination_that_left_the_file(renamed: Outbox) -> None:
    command("drop", "PACS")
    assert "0 deliveries are due again" in command("replay", "--all")
    assert renamed.states() == {"SUPERSEDED"}


def test_an_object_over_which_the_archive_hangs_up_holds_up_no_other(
    settings: Settings, database: Database
) -> None:
    with committing_archive(*STUDIES[:2]) as archive:
        box = outbox(settings, database, archive.port)
        courier = box.courier("PACS")

        def others_arrived() -> bool:
            courier.deliver_due()
            return bool(box.rows(DeliveryState.DELIVERED))

        wait_for("the third study", others_arrived)
    dropped, other, sent = box.rows()
    assert (dropped.state, other.state) == (DeliveryState.WAITING, DeliveryState.WAITING)
    assert dropped.attempts >= 1  # it may be its fault
    assert "the association was lost" in str(dropped.last_error)
    assert (sent.state, sent.attempts) == (DeliveryState.DELIVERED, 1)


def test_a_destination_that_fails_is_called_with_what_was_tried_least(
    settings: Settings, database: Database
) -> None:
    box = outbox(settings, database)
    target, lost = archive_of(box), ConnectionLostError("hung up")
    (first,) = claim(database, target)
    Ledger(database, target).failed(first, lost)
    make_due(database)
    breaker.note_failure(database, target, lost)
    with database.transaction() as session:
        session.execute(update(Destination).values(open_until=None))
    assert [row.study_instance_uid for row in claim(database, target)] == [STUDIES[1]]
    breaker.note_success(database, target)
    assert [row.study_instance_uid for row in claim(database, target)] == [STUDIES[0]]


@pytest.mark.parametrize(("drops_all", "pause_s"), [(False, 3600), (True, 60)])
def test_what_an_archive_drops_as_it_drops_all_waits_no_longer_than_that_rests(
    settings: Settings, database: Database, drops_all: bool, pause_s: float
) -> None:
    box, lost = outbox(settings, database), ConnectionLostError("hung up")
    pauses = {"first_pause_s": 5, "longest_pause_s": 3600, "probe_s": 60}
    target = archive_of(box).model_copy(update=pauses)
    with database.transaction() as session:
        session.execute(update(Delivery).values(attempts=100))
    (row,) = claim(database, target)
    if drops_all:
        breaker.note_failure(database, target, lost)
    with database.reading() as session:
        before = read_clock(session)
    Ledger(database, target).failed(row, lost)
    waited_s = (box.rows()[0].due_at - before).total_seconds()
    assert pause_s <= waited_s < 2 * pause_s
    assert box.rows()[0].state is DeliveryState.WAITING
