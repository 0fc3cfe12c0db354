from pathlib import Path

import pytest

from receiver.inbox import FOLDER, Inbox
from schema.errors import StorageAwayError
from schema.settings import Settings
from schema.storage import MARK, is_there, require_storage


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


def test_a_worker_never_makes_a_storage_that_was_named(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, storage_dir=tmp_path / "mount")
    with pytest.raises(StorageAwayError, match="not mounted"):
        require_storage(settings, 0)
    assert not (tmp_path / "mount").exists()


def test_the_embedded_storage_needs_no_receiver_first(tmp_path: Path) -> None:
    require_storage(Settings(_env_file=None, home=tmp_path), 0)
    assert is_there(tmp_path / "storage")
