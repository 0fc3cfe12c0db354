"""Receivers beside each other on PostgreSQL: one is killed, the others go on, nothing is lost."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from schema.database import Database, upgrade
from schema.dicom import DimseStatus
from schema.settings import Settings
from schema.states import SeriesState
from schema.storage import Storage
from schema.tables import Association, Instance, Series
from tests.support.beside import Echoes, Receiver, receivers
from tests.support.deadline import DEADLINE_S
from tests.support.faults import Modality
from tests.support.postgresql import stoppable_server
from tests.support.processes import wait_for, waiting
from tests.support.scu import CT, Scu, encode, image

pytestmark = [
    pytest.mark.slow,  # starts and kills receivers
    pytest.mark.parametrize("settings", ["postgresql"], indirect=True),
]

SENDERS = 4
ENOUGH = 20  # objects of each sender before and after each kill


def with_own(settings: Settings, **changes: object) -> Settings:
    given = {"acceptors": 2, "sweep_s": 0.2, "associations_per_minute": 1e9} | changes
    return settings.model_copy(update=given)


@pytest.fixture
def pair(settings: Settings, tmp_path: Path) -> Iterator[list[Receiver]]:
    """Two receivers on one storage, which both answer."""
    own = with_own(settings, series_quiet_s=15, series_silence_s=60)
    with receivers(tmp_path, own, own) as beside:
        for receiver in beside:
            receiver.start()
        for receiver in beside:
            receiver.wait_until_it_echoes()
        yield beside


def store(scu: Scu, *uids: str, series: str) -> None:
    for uid in uids:
        ds = image(uid, StudyInstanceUID=f"{series}.0", SeriesInstanceUID=series)
        assert scu.store(CT, uid, encode(ds)) == DimseStatus.SUCCESS


def send(receiver: Receiver, *uids: str, series: str) -> None:
    with Scu(receiver.address) as scu:
        store(scu, *uids, series=series)
        scu.release()


def rows(database: Database) -> dict[str, int]:
    """Count the rows of each SOP instance."""
    query = sa.select(Instance.sop_instance_uid, sa.func.count())
    with database.reading() as session:
        found = session.execute(query.group_by(Instance.sop_instance_uid))
        return {row[0]: row[1] for row in found}


def state(database: Database, series: str) -> SeriesState | None:
    with database.reading() as session:
        return session.scalar(sa.select(Series.state).where(Series.series_instance_uid == series))


def is_decided(database: Database, series: str) -> bool:
    return state(database, series) not in (None, SeriesState.RECEIVING)


def open_associations(database: Database) -> int:
    query = sa.select(sa.func.count()).where(Association.closed_at.is_(None))
    with database.reading() as session:
        return session.scalar(query) or 0


def wait_for_more(modalities: list[Modality], count: int = ENOUGH) -> None:
    before = [len(modality.acknowledged) for modality in modalities]

    def sent() -> bool:
        pairs = zip(modalities, before, strict=True)
        return all(len(modality.acknowledged) >= was + count for modality, was in pairs)

    wait_for("more acknowledged objects", sent)


@pytest.mark.parametrize("victim", ["leader", "other"])
def test_either_receiver_is_killed_under_load_and_nothing_is_lost_refused_or_decided_early(
    pair: list[Receiver], database: Database, victim: str
) -> None:
    leader = wait_for("leader", lambda: next((each for each in pair if each.leads()), None))
    other = next(each for each in pair if each is not leader)
    killed, left = (leader, other) if victim == "leader" else (other, leader)
    steady = [Modality(left.address) for _ in range(SENDERS // 2)]
    moving = [Modality(killed.address) for _ in range(SENDERS // 2)]
    for modality in steady + moving:
        modality.start()
    wait_for_more(steady + moving)

    killed.kill()
    for modality in moving:  # as what balances the load does
        modality.address = left.address
    killed.listener.close()
    wait_for("leader", left.leads)
    wait_for_more(steady + moving)

    for modality in steady + moving:
        modality.enough.set()
        modality.join(DEADLINE_S)
    assert [modality.broken for modality in steady] == [0] * len(steady)
    acknowledged = {uid for modality in steady + moving for uid in modality.acknowledged}
    wait_for("row of each acknowledged object", lambda: acknowledged <= rows(database).keys())
    assert set(rows(database).values()) == {1}
    wait_for("end of all associations", lambda: open_associations(database) == 0)
    for modality in steady + moving:
        wait_for("decision", lambda uid=modality.series_uid: is_decided(database, uid))  # type: ignore[misc]
    with database.reading() as session:
        assert set(session.scalars(sa.select(Series.revision))) == {1}
    assert left.says("Traceback") == 0


def test_what_a_killed_receiver_had_open_is_ended_and_taken_in_by_the_other(
    pair: list[Receiver], database: Database
) -> None:
    killed, _ = pair
    with Scu(killed.address) as scu:
        store(scu, "1.2.1", "1.2.2", series="1.2")
        killed.kill()
    wait_for("rows", lambda: rows(database).keys() == {"1.2.1", "1.2.2"})
    wait_for("end of the association", lambda: open_associations(database) == 0)
    wait_for("decision", lambda: is_decided(database, "1.2"))


@pytest.mark.parametrize("is_same", [True, False], ids=["same storage", "another storage"])
def test_a_receiver_that_starts_and_one_that_ends_leave_the_others_associations_open(
    settings: Settings, database: Database, tmp_path: Path, is_same: bool
) -> None:
    own = with_own(settings, series_silence_s=600)
    other = own if is_same else with_own(own, storage_dir=tmp_path / "other")
    with receivers(tmp_path, own, other) as (first, second):
        first.start()
        with Scu(first.address) as scu:
            store(scu, "1.2.1", series="1.2")
            wait_for("row", lambda: rows(database))
            for number in (3, 4):
                second.start()
                store(scu, f"1.2.{number}.1", series="1.2")  # a silent peer is let go after IDLE_S
                send(second, f"1.{number}.1", series=f"1.{number}")
                wait_for("decision", lambda series=f"1.{number}": is_decided(database, series))  # type: ignore[misc]
                store(scu, f"1.2.{number}.2", series="1.2")
                second.kill()
            assert state(database, "1.2") == SeriesState.RECEIVING
            assert open_associations(database) == 1
            scu.release()
        wait_for("decision", lambda: is_decided(database, "1.2"))
        assert len(rows(database)) == 7


def test_a_row_says_on_which_storage_its_file_lies(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    own = with_own(settings)
    other = with_own(own, storage_dir=tmp_path / "other")
    with receivers(tmp_path, own, other) as beside:
        for number, receiver in enumerate(beside):
            receiver.start()
            send(receiver, f"1.{number}.1", series=f"1.{number}")
        wait_for("rows", lambda: len(rows(database)) == 2)
        wait_for("files", lambda: not any(waiting(own)) and not any(waiting(other)))
    both = map(Storage.at, (own.storage, other.storage))
    storages = {storage.identity: storage.path for storage in both}
    assert len(storages) == 2
    with database.reading() as session:
        instances = session.scalars(sa.select(Instance)).all()
        assert {instance.storage for instance in instances} == storages.keys()
        for instance in instances:
            assert instance.storage is not None
            assert (storages[instance.storage] / instance.path).is_file()


@pytest.mark.parametrize("is_behind", [False, True], ids=["away", "without its tables"])
def test_the_port_opens_and_objects_are_kept_while_the_database_cannot_be_used(
    settings: Settings, tmp_path: Path, is_behind: bool
) -> None:
    with stoppable_server() as (url, stop, start):
        own = with_own(settings, database_url=url)
        if not is_behind:
            upgrade(own)
            stop()
        with receivers(tmp_path, own) as (receiver,):
            receiver.start()
            send(receiver, "1.2.1", series="1.2")
            assert len(list(waiting(own))) == 1
            said = "run python -m schema upgrade" if is_behind else "connection"
            wait_for("reason", lambda: receiver.says(said))
            start()
            upgrade(own)
            wait_for("end of the wait", lambda: not any(waiting(own)))
            # One for each reason: a database that starts says so.
            assert receiver.says("received objects wait in the inbox") <= 2
            assert receiver.says("Traceback") == 0


def test_a_receiver_that_begins_again_keeps_its_port_open(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    with receivers(tmp_path, with_own(settings)) as (receiver,):
        receiver.start()
        echoes = [Echoes(receiver.address) for _ in range(3)]
        for thread in echoes:
            thread.start()
            thread.wait_for_more()
        for generation in (2, 3):
            receiver.process.send_signal(signal.SIGHUP)
            wait_for("next generation", lambda: receiver.says("receiver listens") == generation)  # noqa: B023
            for thread in echoes:
                thread.wait_for_more()
        send(receiver, "1.2.1", series="1.2")
        wait_for("row", lambda: rows(database))
        for thread in echoes:
            thread.enough.set()
            thread.join(DEADLINE_S)
        assert [thread.failures for thread in echoes] == [[], [], []]


def test_a_restart_behind_a_socket_that_systemd_holds_refuses_nobody(
    settings: Settings, tmp_path: Path
) -> None:
    with receivers(tmp_path, with_own(settings)) as (receiver,):
        receiver.start()
        echoes = Echoes(receiver.address)
        echoes.start()
        for _ in range(2):
            echoes.wait_for_more()
            assert receiver.stop() == 0
            receiver.start()
        echoes.wait_for_more()
        echoes.enough.set()
        echoes.join(DEADLINE_S)
        assert echoes.failures == []
