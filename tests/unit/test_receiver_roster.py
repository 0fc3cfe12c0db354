"""The roster of a storage: who is on it, and who is gone."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from receiver.roster import FOLDER, OLD_LOCK, SILENT_S, Presence
from schema.errors import SettingsError

# Takes its place, tells its name, and stays until its standard input closes.
RECEIVER = "import sys; from receiver.roster import Presence; from pathlib import Path\n"
RECEIVER += "print(Presence(Path(sys.argv[1])).name, flush=True); sys.stdin.read()"


def start(storage: Path) -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen(
        [sys.executable, "-c", RECEIVER, str(storage)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def ended_process() -> str:
    """Give the name of a process of this host that has ended."""
    say = "from schema.owners import this_process; print(this_process())"
    return subprocess.check_output([sys.executable, "-c", say], text=True).strip()


def leave_from_elsewhere(storage: Path, silent_s: float) -> Path:
    """Put a receiver of another host on the roster that nobody holds the lock of."""
    path = storage / FOLDER / "elsewhere"
    path.write_text("another-host:1:2:3")
    os.utime(path, (time.time() - silent_s,) * 2)
    return path


def test_receivers_of_one_storage_have_names_of_their_own(tmp_path: Path) -> None:
    first, second = Presence(tmp_path), Presence(tmp_path)
    assert first.present() == second.present() == {first.name, second.name}
    assert first.strike_off() == 0
    second.leave()
    assert first.present() == {first.name}
    first.leave()


def test_a_killed_receiver_is_struck_off_at_once_and_a_living_one_is_not(tmp_path: Path) -> None:
    own = Presence(tmp_path)
    killed, name = start(tmp_path)
    alive, other = start(tmp_path)
    end(killed)
    assert name in own.present()
    assert own.strike_off() == 1
    assert own.present() == {own.name, other}
    end(alive)
    own.leave()


def test_a_receiver_is_there_as_long_as_one_of_its_acceptors_is(tmp_path: Path) -> None:
    own = Presence(tmp_path)
    path = tmp_path / FOLDER / "killed"
    lock = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    path.write_text(ended_process())
    acceptor = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    os.close(lock)
    assert own.strike_off() == 0
    acceptor.kill()
    acceptor.wait()
    assert own.strike_off() == 1
    own.leave()


def test_a_receiver_of_another_host_is_gone_when_it_has_been_silent(tmp_path: Path) -> None:
    own = Presence(tmp_path)
    leave_from_elsewhere(tmp_path, 0)
    assert own.strike_off() == 0
    leave_from_elsewhere(tmp_path, SILENT_S + 5)
    assert own.strike_off() == 1
    own.leave()


def test_a_receiver_learns_that_another_took_it_for_gone(tmp_path: Path) -> None:
    own = Presence(tmp_path)
    assert own.show()
    (tmp_path / FOLDER / own.name).unlink()
    assert not own.show()
    own.leave()


def test_a_receiver_whose_storage_is_away_does_not_take_that_for_its_end(tmp_path: Path) -> None:
    storage, away = tmp_path / "storage", tmp_path / "away"
    own = Presence(storage)
    storage.rename(away)
    assert own.show()
    away.rename(storage)
    assert own.show()
    own.leave()


def test_a_sign_of_life_is_seen_by_the_others(tmp_path: Path) -> None:
    first, second = Presence(tmp_path), Presence(tmp_path)
    path = tmp_path / FOLDER / first.name
    os.utime(path, (0, 0))
    first.show()
    assert path.stat().st_mtime >= (tmp_path / FOLDER / second.name).stat().st_mtime
    first.leave()
    second.leave()


def test_a_receiver_of_the_first_release_is_not_worked_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.roster.LOCK_DEADLINE_S", 0)
    with (tmp_path / OLD_LOCK).open("w") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match=r"release 0\.1 works on"):
            Presence(tmp_path)
