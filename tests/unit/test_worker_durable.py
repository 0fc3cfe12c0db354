"""What a killed worker left half written does not stay."""

import os
import time
from pathlib import Path

import pytest

from schema.errors import TransientError
from worker.durable import LEFT_S, remove_left, write_once


def test_what_was_left_half_written_goes_after_a_day_and_what_is_being_written_stays(
    tmp_path: Path,
) -> None:
    write_once(tmp_path / "result.dcm", lambda file: file.write(b"a head"))
    for name in ("result.dcm", ".part-old", ".part-new"):
        (tmp_path / name).touch()
    yesterday = time.time() - LEFT_S - 1
    for name in ("result.dcm", ".part-old"):
        os.utime(tmp_path / name, (yesterday, yesterday))
    remove_left(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".part-new", "result.dcm"]


def test_a_storage_without_results_has_nothing_left(tmp_path: Path) -> None:
    remove_left(tmp_path / "results")


def test_a_storage_that_does_not_let_it_go_is_a_transient_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".part-old"
    left.touch()
    os.utime(left, (0, 0))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(TransientError, match="Read-only"):
        remove_left(tmp_path)
