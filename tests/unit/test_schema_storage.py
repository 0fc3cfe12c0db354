import os
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from receiver.inbox import FOLDER, Inbox
from schema.errors import SettingsError, StorageAwayError
from schema.settings import Settings
from schema.storage import (
    IDENTITY,
    MARK,
    Storage,
    is_there,
    read_identity,
    require_same,
    require_storage,
    why_away,
)


def test_a_storage_that_a_receiver_was_started_on_is_there(tmp_path: Path) -> None:
    Inbox(tmp_path, 0)
    assert is_there(tmp_path)
    assert MARK == FOLDER


def test_the_empty_folder_that_an_unmounted_volume_leaves_is_not_the_storage(
    tmp_path: Path,
) -> None:
    assert not is_there(tmp_path)
    assert not is_there(tmp_path / "none")


def test_a_mount_that_hangs_counts_as_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Inbox(tmp_path, 0)
    monkeypatch.setattr("schema.storage.ANSWER_S", 0.0)
    monkeypatch.setattr(Path, "is_dir", lambda _: __import__("time").sleep(0.2))
    assert not is_there(tmp_path)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user without rights; who is root otherwise passes over modes."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_storage_that_this_user_may_not_read_is_told_from_one_that_is_not_mounted(
    tmp_path: Path,
) -> None:
    Inbox(tmp_path / "storage", 0)
    (tmp_path / "storage").chmod(0)
    with as_nobody():
        assert "may not read it" in str(why_away(tmp_path / "storage"))
    (tmp_path / "storage").chmod(0o700)
    assert why_away(tmp_path / "storage") is None


def test_a_worker_never_makes_a_storage_that_was_named(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, storage_dir=tmp_path / "mount")
    with pytest.raises(StorageAwayError, match="not mounted"):
        require_storage(settings, 0)
    assert not (tmp_path / "mount").exists()


def test_the_embedded_storage_needs_no_receiver_first(tmp_path: Path) -> None:
    require_storage(Settings(_env_file=None, home=tmp_path), 0)
    assert is_there(tmp_path / "storage")


def test_all_who_ask_at_once_find_the_same_identity(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(Storage.at, [tmp_path] * 32))
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == [IDENTITY]


def test_a_storage_keeps_its_identity_where_it_moves_to(tmp_path: Path) -> None:
    before = Storage.at(tmp_path / "before").identity
    shutil.copytree(tmp_path / "before", tmp_path / "after")
    assert Storage.at(tmp_path / "after").identity == before
    assert Storage.at(tmp_path / "other").identity != before


def test_a_spoilt_identity_is_said_with_its_file(tmp_path: Path) -> None:
    (tmp_path / IDENTITY).write_text("")
    with pytest.raises(SettingsError, match=f"{tmp_path}/identity: no identity"):
        Storage.at(tmp_path)


def test_a_storage_that_is_away_is_not_made_anew_by_whoever_looks_for_it(tmp_path: Path) -> None:
    Storage.at(tmp_path / "storage")
    (tmp_path / "storage").rename(tmp_path / "away")
    with pytest.raises(StorageAwayError, match="not mounted"):
        Storage.seen(tmp_path / "storage")
    assert not (tmp_path / "storage").exists()


def test_whoever_only_reads_gives_a_storage_no_identity(tmp_path: Path) -> None:
    assert read_identity(tmp_path) is None
    assert not any(tmp_path.iterdir())


def test_files_of_another_storage_are_away_here_and_older_rows_are_not(tmp_path: Path) -> None:
    here = Storage.at(tmp_path)
    require_same(tmp_path, {here.identity, None})
    assert here.holds(None)
    with pytest.raises(StorageAwayError, match="lie on another storage"):
        require_same(tmp_path, {here.identity, uuid.uuid4()})
