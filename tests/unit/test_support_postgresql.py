"""The server of the tests on a machine where root's PATH is short."""

import os
import shutil

import pytest

from tests.support.postgresql import require_useradd


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "/nowhere")


def test_a_short_path_of_root_is_made_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        shutil, "which", lambda name: "/usr/sbin/useradd" if "sbin" in os.environ["PATH"] else None
    )
    require_useradd()
    assert os.environ["PATH"].endswith(":/usr/sbin:/sbin")


def test_a_machine_without_useradd_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.fail.Exception, match="no useradd in PATH") as failed:
        require_useradd()
    assert "\n" not in str(failed.value)
    assert not failed.value.pytrace
