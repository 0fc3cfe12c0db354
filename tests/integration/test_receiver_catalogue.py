"""The catalogue on both databases: every file gets its row, once, whatever happens to either."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from receiver.catalogue.intake import Catalogue, close_lost_associations
from receiver.catalogue.rebuild import Rebuilder
from receiver.catalogue.rows import register
from receiver.dispatch.planner import Planner
from receiver.inbox import AssociationFolder, Inbox, close_folder
from receiver.instance.stored import StoredObject
from receiver.protocol.file_meta import encode_file_meta
from receiver.roster import Presence
from receiver.service import take_in_the_last
from schema.database import Database, read_clock
from schema.errors import StorageAwayError
from schema.settings import Settings
from schema.states import SeriesState
from schema.storage import Storage
from schema.tables import Association, Instance, Series, StoreCheck, Study
from tests.support.scu import CT, EXPLICIT, encode, image, new_uid

GIGABYTE = 10**9
IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
def inbox(settings: Settings) -> Inbox:
    return Inbox(settings.storage, 0)


@pytest.fixture
def folder(inbox: Inbox) -> AssociationFolder:
    return inbox.open_association("CT1", "127.0.0.1")


@pytest.fixture
def catalogue(settings: Settings, database: Database, inbox: Inbox) -> Catalogue:
    return Catalogue(database, settings.storage)


def keep(folder: AssociationFolder, uid: str, **given: object) -> Path:
    """Put an object into the inbox, as an acceptor does."""
    incoming = folder.begin(encode_file_meta(CT, uid, EXPLICIT), GIGABYTE)
    incoming.write(memoryview(encode(image(uid, **given))))
    return incoming.keep()


def rows(database: Database) -> list[Instance]:
    with database.reading() as session:
        return list(session.scalars(sa.select(Instance).order_by(Instance.id)))


def association(database: Database) -> Association:
    with database.reading() as session:
        return session.scalars(sa.select(Association)).one()


def series(database: Database) -> Series:
    with database.reading() as session:
        return session.scalars(sa.select(Series)).one()


@pytest.mark.parametrize(("given", "kept"), [({"SeriesNumber": 4}, 4), ({}, None)])
def test_a_series_keeps_its_number(
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    given: dict[str, object],
    kept: int | None,
) -> None:
    keep(folder, "1.2.3", **given)
    catalogue.take_in()
    assert series(database).series_number == kept


def test_an_object_gets_its_row_and_its_place(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    path = keep(folder, "1.2.3")
    content = path.read_bytes()
    assert catalogue.take_in() == 1
    (row,) = rows(database)
    assert (settings.storage / row.path).read_bytes() == content
    assert not path.exists()


def test_no_name_of_the_store_comes_from_the_network(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3.4.5.6.7.8.9")
    catalogue.take_in()
    (row,) = rows(database)
    assert "1.2.3" not in row.path


def test_the_same_content_again_has_one_row(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    for _ in range(2):
        keep(inbox.open_association("CT1", "127.0.0.1"), "1.2.3")
        catalogue.take_in()
    assert len(rows(database)) == 1


def test_the_same_content_twice_in_one_batch_has_one_row(
    database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    keep(folder, "1.2.3")
    assert catalogue.take_in() == 1
    assert len(rows(database)) == 1


def test_other_content_is_kept_as_the_next_version_and_both_files_stay(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    for name in ("First^Content", "Second^Content"):
        keep(folder, "1.2.3", PatientName=name)
        catalogue.take_in()
    assert [row.version for row in rows(database)] == [1, 2]
    assert all((settings.storage / row.path).exists() for row in rows(database))
    with database.reading() as session:
        (newest,) = session.scalars(sa.select(Series)).one().newest_instances()
        assert newest.version == 2


def test_other_content_is_flagged_in_the_log(
    catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3", SeriesDescription="First content")
    keep(folder, "1.2.3", SeriesDescription="Second content")
    with capture_logs() as lines:
        catalogue.take_in()
    (line,) = lines
    assert (line["log_level"], line["sop_instance_uid"], line["version"]) == ("warning", "1.2.3", 2)
    assert "Second" not in str(line.values())


@pytest.mark.parametrize("aborted", [False, True])
def test_an_association_says_whether_it_was_aborted(
    database: Database, catalogue: Catalogue, folder: AssociationFolder, aborted: bool
) -> None:
    keep(folder, "1.2.3")
    folder.close(aborted=aborted)
    catalogue.take_in()
    assert association(database).aborted is aborted
    assert not list(folder.path.parent.iterdir())


def test_what_a_killed_acceptor_left_open_was_aborted(
    database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    close_folder(folder.path)
    catalogue.take_in()
    assert association(database).aborted


def test_an_association_is_over_when_its_marker_is_there_and_its_folder_goes(
    database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    assert association(database).closed_at is None
    folder.close()
    catalogue.take_in()
    assert association(database).closed_at is not None
    assert not folder.path.exists()


def test_an_interruption_between_rows_and_move_is_made_good(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(folder, "1.2.3")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            catalogue.take_in()
    assert catalogue.take_in() == 0
    (row,) = rows(database)
    assert (settings.storage / row.path).exists()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_unreadable_file_is_set_aside_and_holds_up_nobody(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    (folder.path / "99999999.dcm").write_bytes(b"no DICOM")
    assert catalogue.take_in() == 1
    assert [path.read_bytes() for path in settings.storage.glob("quarantine/*")] == [b"no DICOM"]


def test_a_batch_takes_as_many_queries_as_one_object(
    database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3.1")
    one = _queries(database, catalogue)
    for number in range(2, 202):
        keep(folder, f"1.2.3.{number}")
    assert _queries(database, catalogue) <= one


def _queries(database: Database, catalogue: Catalogue) -> int:
    seen: list[str] = []

    def note(*given: object) -> None:
        seen.append(str(given[2]))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    catalogue.take_in()
    sa.event.remove(database.engine, "before_cursor_execute", note)
    return len(seen)


def test_rows_that_a_restored_database_lacks_come_back_from_the_files(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    uids = [new_uid() for _ in range(5)]
    for uid in uids:
        keep(folder, uid)
    catalogue.take_in()
    before = {(row.sop_instance_uid, row.path, row.sha256) for row in rows(database)}
    with database.transaction() as session:
        session.execute(sa.delete(Instance).where(Instance.sop_instance_uid.in_(uids[2:])))
    assert look_through(Rebuilder(catalogue, database, settings.storage)) == 3
    assert {(row.sop_instance_uid, row.path, row.sha256) for row in rows(database)} == before


def test_an_empty_database_is_filled_from_the_files(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    with database.transaction() as session:
        for table in reversed(Instance.metadata.sorted_tables):
            session.execute(sa.delete(table))
    assert look_through(Rebuilder(catalogue, database, settings.storage)) == 1
    assert series(database).state == SeriesState.RECEIVING


def look_through(rebuilder: Rebuilder) -> int:
    return sum(rebuilder.look_further() for _ in range(3))


def test_files_that_have_their_rows_are_left_alone(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    assert look_through(Rebuilder(catalogue, database, settings.storage)) == 0


def test_after_a_whole_look_only_folders_that_changed_since_are_looked_into(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(folder, "1.2.3", SeriesInstanceUID="1.2")
    keep(folder, "1.2.4", SeriesInstanceUID="1.3")
    catalogue.take_in()
    look_through(Rebuilder(catalogue, database, settings.storage))
    old, new = (settings.storage / row.path for row in rows(database))
    os.utime(old.parent, (0, 0))
    asked: list[Path] = []

    def note(paths: Sequence[Path]) -> int:
        asked.extend(paths)
        return 0

    monkeypatch.setattr(catalogue, "add_missing", note)
    look_through(Rebuilder(catalogue, database, settings.storage))
    assert asked == [new]


def test_a_restored_database_is_compared_with_all_that_came_after_its_backup(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    rebuilder = Rebuilder(catalogue, database, settings.storage)
    keep(folder, "1.2.3")
    catalogue.take_in()
    look_through(rebuilder)
    with database.transaction() as session:  # the backup is of the day before yesterday
        session.execute(sa.delete(Instance))
        session.scalars(sa.select(StoreCheck)).one().checked_until -= timedelta(days=2)
    assert look_through(Rebuilder(catalogue, database, settings.storage)) == 1


def test_a_storage_that_is_away_is_not_taken_for_looked_through(
    settings: Settings, database: Database, catalogue: Catalogue
) -> None:
    look_through(Rebuilder(catalogue, database, settings.storage / "away"))
    with database.reading() as session:
        assert session.scalars(sa.select(StoreCheck)).all() == []


def test_an_object_that_the_database_refuses_holds_up_nobody(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    refused = keep(folder, "1.2.3.9")
    for number in range(4):
        keep(folder, f"1.2.3.{number}")
    with refusing(database, "1.2.3.9"):
        assert catalogue.take_in() == 4
    assert refused.exists()
    assert catalogue.take_in() == 1


def failing_on(uid: str, patch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the making of rows raise whenever an object of this UID is among the others."""

    def failing(session: Session, objects: Sequence[StoredObject], *given: Any) -> int:
        if uid in {stored.header.identity.sop_instance_uid for stored in objects}:
            raise error
        return register(session, objects, *given)

    patch.setattr("receiver.catalogue.intake.register", failing)


def test_an_object_on_which_this_software_fails_is_set_aside_and_holds_up_nobody(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = keep(folder, "1.2.3.9").read_bytes()
    for number in range(4):
        keep(folder, f"1.2.3.{number}")
    folder.close()
    failing_on("1.2.3.9", monkeypatch, IndexError("a name"))
    with capture_logs() as lines:
        assert catalogue.take_in() == 4
    (aside,) = settings.storage.glob("quarantine/*")
    assert aside.read_bytes() == content
    (line,) = [line for line in lines if line["event"] == "object set aside"]
    assert line["file"] == aside.name == f"{folder.path.name}-00000001.dcm"
    assert line["reason"].startswith("error in this software: IndexError < test_receiver_catalogue")
    assert not folder.path.exists()


def test_where_no_object_passes_none_is_at_fault_and_all_wait(
    settings: Settings,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = [keep(folder, "1.2.3.9") for _ in range(2)]
    with monkeypatch.context() as patch, capture_logs() as lines:
        failing_on("1.2.3.9", patch, IndexError())
        assert [catalogue.take_in() for _ in range(2)] == [0, 0]
    assert [path.exists() for path in waiting] == [True, True]
    assert [line["event"] for line in lines] == ["object not catalogued"] * 2
    assert catalogue.take_in() == 1


def test_what_is_wrong_around_an_object_is_no_fault_of_it(
    settings: Settings,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waiting = [keep(folder, f"1.2.3.{number}") for number in range(2)]
    with monkeypatch.context() as patch:
        failing_on("1.2.3.1", patch, StorageAwayError("away"))
        with pytest.raises(StorageAwayError):
            catalogue.take_in()
    assert [path.exists() for path in waiting] == [True, True]
    assert catalogue.take_in() == 2


def test_a_file_of_the_store_on_which_this_software_fails_stays_there(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(2):
        keep(folder, f"1.2.3.{number}")
    catalogue.take_in()
    paths = [settings.storage / row.path for row in rows(database)]
    with database.transaction() as session:
        session.execute(sa.delete(Instance))
    failing_on("1.2.3.1", monkeypatch, IndexError())
    assert catalogue.add_missing(paths) == 1
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("left", [0, 100, 200])
def test_an_object_comes_again_in_another_encoding_although_its_file_is_damaged(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    left: int,
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    (row,) = rows(database)
    os.truncate(settings.storage / row.path, left)
    incoming = folder.begin(encode_file_meta(CT, "1.2.3", IMPLICIT), GIGABYTE)
    incoming.write(memoryview(encode(image("1.2.3"), IMPLICIT)))
    incoming.keep()
    assert catalogue.take_in() == 1
    assert [row.version for row in rows(database)] == [1, 2]


def test_the_last_that_was_acknowledged_keeps_no_receiver_from_its_end(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Catalogue, "take_some", lambda _: {}["a name"])
    with capture_logs() as lines:
        take_in_the_last(settings, database, Presence(settings.storage))
    assert lines[0]["reason"].startswith("KeyError < test_receiver_catalogue.py")


@contextmanager
def refusing(database: Database, uid: str) -> Iterator[None]:
    """Let the database refuse whatever it is given of one SOP instance."""

    def refuse(*given: object) -> None:
        if str(given[2]).startswith("INSERT INTO instance") and uid in str(given[3]):
            raise sa.exc.DataError("INSERT", None, ValueError("refused"))

    sa.event.listen(database.engine, "before_cursor_execute", refuse)
    yield
    sa.event.remove(database.engine, "before_cursor_execute", refuse)


def test_an_association_that_a_restored_database_takes_for_open_is_ended(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    assert close_lost_associations(database, settings.storage) == 0
    shutil.rmtree(folder.path)
    assert close_lost_associations(database, settings.storage) == 1
    assert association(database).closed_at is not None


def test_an_open_association_of_another_storage_is_left_alone(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    other = Storage.at(settings.home / "other").path
    Inbox(other, 0)
    assert close_lost_associations(database, other) == 0
    assert association(database).closed_at is None


def test_two_receivers_that_get_the_first_images_of_studies_at_once_hinder_no_other(
    settings: Settings, database: Database, inbox: Inbox
) -> None:
    beside = [inbox.open_association("CT1", "127.0.0.1") for _ in range(2)]
    studies = [f"1.2.{number}" for number in range(20)]
    for folder, order in zip(beside, (studies, studies[::-1]), strict=True):
        for study in order:
            keep(folder, new_uid(), StudyInstanceUID=study, SeriesInstanceUID=f"{study}.1")
    shares = [Catalogue(database, settings.storage, [own.path].copy) for own in beside]
    with capture_logs() as lines, ThreadPoolExecutor() as pool:
        taken = list(pool.map(Catalogue.take_in, shares))
    assert taken == [20, 20]
    assert lines == []
    with database.reading() as session:
        assert len(session.scalars(sa.select(Series)).all()) == len(studies)


def test_what_comes_again_to_another_storage_lies_there_from_then_on(
    settings: Settings, database: Database, catalogue: Catalogue, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    other = settings.home / "other"
    keep(Inbox(other, 0).open_association("CT1", "127.0.0.1"), "1.2.3")
    assert Catalogue(database, other).take_in() == 0
    (row,) = rows(database)
    assert row.storage == Storage.at(other).identity
    assert (other / row.path).exists()
    assert series(database).revision == 1


def test_thousands_of_images_of_one_association_delay_no_other(
    catalogue: Catalogue, database: Database, inbox: Inbox
) -> None:
    crowd, other = (inbox.open_association(name, "127.0.0.1") for name in ("CT1", "CT2"))
    for number in range(5):
        keep(crowd, f"1.2.3.{number}")
    keep(other, "1.2.4")
    crowd.close()
    catalogue.take_in(limit=2)
    assert [row.sop_instance_uid for row in rows(database)] in (
        ["1.2.3.0", "1.2.4"],
        ["1.2.4", "1.2.3.0"],
    )
    assert crowd.path.exists()


def test_an_association_is_over_only_when_all_of_it_has_its_rows(
    catalogue: Catalogue, database: Database, folder: AssociationFolder
) -> None:
    for number in range(3):
        keep(folder, f"1.2.3.{number}")
    folder.close()
    catalogue.take_in(limit=2)
    assert association(database).closed_at is None
    catalogue.take_in()
    assert association(database).closed_at is not None


def test_a_file_where_a_folder_belongs_stops_one_object_alone(
    settings: Settings, catalogue: Catalogue, database: Database, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    catalogue.take_in()
    place = settings.storage / rows(database)[0].path
    kept = place.read_bytes()
    place.unlink()
    place.parent.rmdir()
    place.parent.write_text("in the way")
    blocked = keep(folder, "1.2.3")
    keep(folder, "1.2.9", StudyInstanceUID="1.2.999")
    assert catalogue.take_in() == 1
    assert blocked.read_bytes() == kept


def test_a_spoilt_note_of_a_sender_costs_only_its_name(
    catalogue: Catalogue, inbox: Inbox, folder: AssociationFolder
) -> None:
    keep(folder, "1.2.3")
    (folder.path / "sender.json").write_text('{"calling_ae": 1, "peer": 2, "opened_at": 3}')
    keep(inbox.open_association("CT2", "127.0.0.1"), "1.2.4")
    assert catalogue.take_in() == 2


def test_an_object_is_opened_once_from_the_inbox_to_the_decision(
    catalogue: Catalogue,
    database: Database,
    settings: Settings,
    folder: AssociationFolder,
) -> None:
    for number in range(3):
        keep(folder, f"1.2.3.{number}")
    opened: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).endswith(".dcm"):
            opened.append(str(arguments[0]))

    sys.addaudithook(note)  # stays for good, so it only counts while the list is looked at
    catalogue.take_in()
    quiet = settings.model_copy(update={"series_quiet_s": 0.001, "series_silence_s": 0.001})
    with database.transaction() as session:
        session.scalars(sa.select(Series)).one().last_instance_at -= timedelta(seconds=60)
    assert Planner.of(quiet, database).plan() == 1
    assert len(opened) == 3


WALTER = {"PatientID": "P1", "PatientName": "Water^Walter", "PatientBirthDate": "19600102"}
FRIEDA = {"PatientID": "P2", "PatientName": "Fire^Frieda", "PatientBirthDate": "19700304"}
NOBODY = {"PatientID": "TR-0815", "PatientName": "UNKNOWN^TRAUMA"}


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (WALTER, WALTER | {"AccessionNumber": "Y"}, "Y"),
        (WALTER | {"AccessionNumber": "X"}, WALTER | {"AccessionNumber": "Y"}, "Y"),
        (WALTER | {"AccessionNumber": "X"}, WALTER, "X"),
        (WALTER | {"AccessionNumber": "X"}, FRIEDA | {"AccessionNumber": "Y"}, "Y"),
        (WALTER | {"AccessionNumber": "X"}, FRIEDA, ""),
        (NOBODY | {"AccessionNumber": "X"}, WALTER | {"AccessionNumber": "Y"}, "Y"),
        (NOBODY | {"AccessionNumber": "X"}, WALTER, "X"),
    ],
)
def test_images_that_come_again_bring_the_order_of_their_patient(
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    first: dict[str, str],
    second: dict[str, str],
    shown: str,
) -> None:
    for said in (first, second):
        keep(folder, "1.2.3", **said)
        catalogue.take_in()
    assert accession_number(database) == shown


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (WALTER | {"AccessionNumber": "Y"}, "X"),  # read under two orders: the first stays
        (FRIEDA | {"AccessionNumber": "Y"}, "X"),  # another patient's
    ],
)
def test_another_series_takes_no_order_away(
    database: Database,
    catalogue: Catalogue,
    folder: AssociationFolder,
    other: dict[str, str],
    shown: str,
) -> None:
    keep(folder, "1.2.3", **WALTER, AccessionNumber="X")
    catalogue.take_in()
    keep(folder, "1.2.4", **other, SeriesInstanceUID="1.2.3.5")
    catalogue.take_in()
    assert accession_number(database) == shown


def accession_number(database: Database) -> str:
    with database.reading() as session:
        return session.scalars(sa.select(Study.accession_number)).one()


def send(inbox: Inbox, catalogue: Catalogue, uid: str) -> str:
    """Send an object over an association of its own; give its name."""
    folder = inbox.open_association("CT1", "127.0.0.1")
    keep(folder, uid)
    catalogue.take_in()
    return folder.path.name


def set_series(database: Database, **values: object) -> None:
    with database.transaction() as session:
        session.execute(sa.update(Series).values(**values))


def test_what_comes_again_belongs_to_the_association_that_brought_it_last(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    names = [send(inbox, catalogue, "1.2.3") for _ in range(2)]
    with database.reading() as session:
        query = sa.select(Association.name).join(Instance)
        assert session.scalars(query).all() == names[1:]


@pytest.mark.parametrize(("was_ended", "by"), [(True, 0), (False, 1)])
def test_a_decided_series_keeps_the_association_that_sent_it_well(
    database: Database, catalogue: Catalogue, inbox: Inbox, was_ended: bool, by: int
) -> None:
    names = [send(inbox, catalogue, "1.2.3")]
    set_series(database, state=SeriesState.SELECTED)
    if was_ended:
        with database.transaction() as session:
            session.execute(sa.update(Association).values(closed_at=read_clock(session)))
    names.append(send(inbox, catalogue, "1.2.3"))
    with database.reading() as session:
        query = sa.select(Association.name).join(Instance)
        assert session.scalars(query).all() == [names[by]]


def test_a_series_that_comes_again_is_still_arriving(
    database: Database, catalogue: Catalogue, inbox: Inbox
) -> None:
    send(inbox, catalogue, "1.2.3")
    before = series(database).last_instance_at
    set_series(database, last_instance_at=before - timedelta(seconds=60))
    send(inbox, catalogue, "1.2.3")
    assert series(database).last_instance_at >= before


@pytest.mark.parametrize(("cut_short", "revision"), [(False, 1), (True, 2)])
def test_a_decided_series_that_comes_again_is_opened_where_it_was_cut_short(
    database: Database, catalogue: Catalogue, inbox: Inbox, cut_short: bool, revision: int
) -> None:
    send(inbox, catalogue, "1.2.3")
    set_series(database, state=SeriesState.REJECTED, cut_short=cut_short)
    send(inbox, catalogue, "1.2.3")
    assert series(database).revision == revision
