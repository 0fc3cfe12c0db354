"""Whatever is killed, full or away: what was acknowledged is there afterwards, once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.inbox import AssociationFolder, Inbox, IncomingObject, close_folder, folders
from receiver.periodic.steps import receiver_steps
from receiver.periodic.sweeper import Sweeper
from receiver.protocol.file_meta import encode_file_meta
from receiver.roster import Presence
from schema.bare_environment import PREFIX
from schema.broker import client
from schema.database import connect, upgrade
from schema.dicom import DimseStatus
from schema.settings import Settings
from schema.tables import Instance
from tests.support.deadline import DEADLINE_S
from tests.support.faults import push_and_kill
from tests.support.postgresql import stoppable_server
from tests.support.processes import wait_for
from tests.support.receivers import acceptors
from tests.support.scu import CT, EXPLICIT, Address, Scu, encode, image, new_uid

pytestmark = pytest.mark.slow  # kills and restarts receivers

AWAY_S = 30
Call = Callable[[], object]


@pytest.mark.timeout(1800)  # nine starts; more kills by hand: tests/support/faults.py
def test_eight_kills_amid_four_senders_lose_and_double_nothing(tmp_path: Path) -> None:
    verdict = push_and_kill(tmp_path / "home", kills=8)
    assert verdict.acknowledged > 0
    assert (verdict.lost, verdict.doubled, verdict.changed) == ([], [], [])


def test_a_dead_acceptor_is_replaced_and_its_associations_are_over(tmp_path: Path) -> None:
    with acceptors(tmp_path) as ports, Scu(ports["plain"]) as scu:
        scu.store(CT, "1.2.3", encode(image("1.2.3")))
        scu.begin_store(CT, "1.2.4")
        scu.send_data(bytes(50_000), is_last=False)
        (folder,) = folders(tmp_path / "storage")
        (acceptor,) = children(os.getpid())
        os.kill(acceptor, signal.SIGKILL)
        wait_for("end of the association", (folder / "closed").exists, DEADLINE_S)
        assert [path.name for path in folder.glob("*.dcm")] == ["00000001.dcm"]
        assert not list(folder.glob("*.part"))
        wait_for("another acceptor", lambda: stores(ports["plain"]), DEADLINE_S)


def test_no_acceptor_outlives_a_killed_receiver(tmp_path: Path) -> None:
    receiver = subprocess.Popen(
        [sys.executable, "-m", "receiver"],
        env=os.environ | {f"{PREFIX}HOME": str(tmp_path), f"{PREFIX}DICOM_PORT": "0"},
        stderr=subprocess.DEVNULL,
    )
    try:
        found = wait_for("acceptors", lambda: children(receiver.pid), DEADLINE_S)
    finally:
        receiver.kill()
        receiver.wait()
        with client(Settings(_env_file=None, home=tmp_path)) as connection:
            connection.shutdown(nosave=True)
    wait_for("end of the acceptors", lambda: not any(map(runs, found)), DEADLINE_S)


def test_an_object_whose_rename_was_lost_is_found_by_its_seal(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, 0)
    folder = inbox.open_association("CT1", "127.0.0.1")
    whole, torn = (begin(folder, uid) for uid in ("1.2.3", "1.2.4"))
    kept = whole.keep()
    kept.rename(kept.with_suffix(".part"))  # as a power cut may leave it
    close_folder(folder.path)
    assert [path.name for path in folder.path.glob("0*")] == [kept.name]
    assert torn.dataset_bytes > 0


def test_a_sealed_object_with_lost_bytes_is_not_taken_for_whole(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, 0)
    folder = inbox.open_association("CT1", "127.0.0.1")
    kept = begin(folder, "1.2.3").keep()
    content = kept.read_bytes()
    kept.unlink()
    kept.with_suffix(".part").write_bytes(content[:-2] + bytes(2))
    close_folder(folder.path)
    assert not list(folder.path.glob("0*"))


def test_a_database_that_is_away_for_half_a_minute_loses_nothing(tmp_path: Path) -> None:
    with away_database(tmp_path) as (settings, stop, start):
        database = connect(settings)
        presence = Presence(settings.storage)
        sweeper = Sweeper(receiver_steps(settings, database, presence))
        before, meanwhile = new_uid(), [new_uid() for _ in range(AWAY_S)]
        with acceptors(tmp_path / "home", presence, storage_dir=settings.storage) as ports:
            with Scu(ports["plain"]) as scu:
                push(scu, [before])
                sweeper.run_once()
                stop()
                for uid in meanwhile:
                    push(scu, [uid])
                    sweeper.run_once()
                    threading.Event().wait(1)  # the outage itself, not a wait for something
                start()
            sweeper.run_once()
        database.engine.dispose()
        assert sorted(catalogued(settings)) == sorted([before, *meanwhile])


def push(scu: Scu, uids: list[str]) -> None:
    for uid in uids:
        assert scu.store(CT, uid, encode(image(uid))) == DimseStatus.SUCCESS


def catalogued(settings: Settings) -> list[str]:
    database = connect(settings)
    with database.reading() as session:
        uids = list(session.scalars(sa.select(Instance.sop_instance_uid)))
    database.engine.dispose()
    return uids


@contextmanager
def away_database(tmp_path: Path) -> Iterator[tuple[Settings, Call, Call]]:
    """Give the settings of a database that can be stopped and started."""
    with stoppable_server() as (url, stop, start):
        settings = Settings(
            _env_file=None,
            home=tmp_path / "home",
            database_url=url,
            broker_url="redis+socket:///nowhere",
        )
        upgrade(settings)
        yield settings, stop, start


def begin(folder: AssociationFolder, uid: str) -> IncomingObject:
    incoming = folder.begin(encode_file_meta(CT, uid, EXPLICIT), 10**9)
    incoming.write(memoryview(encode(image(uid))))
    return incoming


def stores(address: Address) -> bool:
    with suppress(OSError), Scu(address) as scu:
        return scu.store(CT, uid := new_uid(), encode(image(uid))) == DimseStatus.SUCCESS
    return False


def children(process_id: int) -> list[int]:
    """Give the acceptor processes that a process started."""
    found: list[int] = []
    for thread in Path(f"/proc/{process_id}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return [one for one in found if b"receiver.association.process" in command_line(one)]


def command_line(process_id: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    return b""


def runs(process_id: int) -> bool:
    return bool(command_line(process_id))
