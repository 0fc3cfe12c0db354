"""Slices on disk: bounded, and whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from schema.database import Database
from schema.errors import TransientError
from worklist.images.cache import Cache


def test_the_cache_lets_go_of_what_was_looked_at_longest_ago(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "pictures", limit_bytes=250)
    for moment, name in enumerate(("1-a", "2-b")):
        os.utime(cache.add(name, lambda file: file.write(bytes(100))), (moment, moment))
    assert cache.find("1-a")  # looked at now
    cache.add("3-c", lambda file: file.write(bytes(100)))
    kept = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert kept == ["1-a.slices", "3-c.slices"]


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def write(_: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        Cache(tmp_path, 100).add("1-a", write)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_file_is_told_as_that(tmp_path: Path) -> None:
    blocked = tmp_path / "pictures"
    blocked.touch()
    with pytest.raises(TransientError, match="no image is shown"):
        Cache(blocked, 100).add("1-a", lambda file: file.write(b"x"))


def test_a_disk_that_became_read_only_still_gives_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    cache = Cache(tmp_path, 100)
    path = cache.add("1-a", lambda file: file.write(b"x"))
    monkeypatch.setattr(os, "utime", refuse)
    assert cache.find("1-a") == path


def test_a_page_that_starts_keeps_nothing_of_the_one_before(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 100)
    cache.add("1-a", lambda file: file.write(b"x"))
    cache.clear()
    assert cache.find("1-a") is None


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_file_that_is_none_of_ours_keeps_no_other_from_going(
    database: Database, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "pictures", 100)
    gone = cache.add("7-a", lambda file: file.write(b"x"))
    for name in ("copy of 7", "7", f"{10**30}-a"):
        gone.with_name(f"{name}.slices").touch()
    assert cache.forget_removed(database) == 1
    assert not gone.exists()
