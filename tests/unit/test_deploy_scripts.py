"""The start scripts leave alone what is a site's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deadline import DEADLINE_S

ROOT = Path(__file__).parents[2]
SCRIPTS = ("up", "demo", "test")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout whose `.venv` was made by hand, as docs/operations.md does."""
    (tmp_path / "deploy").mkdir()
    for name in (*SCRIPTS, "environment.sh"):
        shutil.copy(ROOT / "deploy" / name, tmp_path / "deploy")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_start_script_never_empties_an_environment_that_it_did_not_make(
    checkout: Path, script: str
) -> None:
    ended = subprocess.run([f"deploy/{script}"], cwd=checkout, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"ihsnet-triage: {checkout}/.venv was not made by")
    assert len(ended.stderr.splitlines()) == 1
    assert (checkout / ".venv" / "bin").is_dir()


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("TRIAGE_DATABASE_URL", "postgresql+psycopg://triage@127.0.0.1:1/triage"),
        ("TRIAGE_BROKER_URL", "redis://127.0.0.1:1/0"),
    ],
)
def test_the_demo_sends_nothing_to_a_sites_own_database_or_broker(
    tmp_path: Path, name: str, url: str
) -> None:
    environment = os.environ | {"TRIAGE_HOME": str(tmp_path / "home"), name: url}
    command = [sys.executable, ROOT / "deploy" / "demo.py", "--once"]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=DEADLINE_S
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"ihsnet-triage: {name} is set")
    assert not (tmp_path / "home").exists()
