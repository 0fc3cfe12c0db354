import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from schema.errors import SettingsError
from schema.storage_contract import require_contract


def test_a_posix_folder_keeps_to_the_contract_and_nothing_is_left(tmp_path: Path) -> None:
    require_contract(tmp_path)
    assert list(tmp_path.iterdir()) == []


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def pass_over(*_: object, **__: object) -> None:
    pass


@pytest.mark.parametrize(
    ("target", "fault", "name"),
    [
        ("os.fsync", refuse, "fsync of files and folders"),
        ("pathlib.Path.rename", refuse, "rename onto a name that is taken"),
        ("pathlib.Path.hardlink_to", refuse, "hard links"),
        ("fcntl.flock", refuse, "exclusive locks"),
        ("fcntl.flock", pass_over, "exclusive locks"),
        ("os.geteuid", lambda: 1234, "owner and mode of a file"),
    ],
    ids=[
        "no fsync",
        "no rename",
        "no links",
        "no locks",
        "locks that hold nobody",
        "squashed owner",
    ],
)
def test_a_storage_that_lacks_something_is_refused_by_its_name(
    target: str,
    fault: Callable[..., object],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target, fault)
    with pytest.raises(SettingsError, match=f"storage .*does not keep to {name}"):
        require_contract(tmp_path)


def test_a_link_that_is_a_copy_is_no_hard_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copy(link: Path, source: Path) -> None:
        link.write_bytes(source.read_bytes())

    monkeypatch.setattr("pathlib.Path.hardlink_to", copy)
    with pytest.raises(SettingsError, match="hard links"):
        require_contract(tmp_path)


def test_a_storage_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written to"):
        require_contract(tmp_path / "nowhere")
