"""The commands of the README, as a newcomer runs them."""

import contextlib
import os
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.deadline import DEADLINE_S
from tests.support.processes import free_port, wait_for, wait_for_port

pytestmark = pytest.mark.slow  # starts a whole system

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "deploy" / "samples"

needs_environment = pytest.mark.skipif(
    not (ROOT / ".venv" / "stamp").exists(), reason="./deploy/test has not made .venv"
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "TRIAGE_HOME": str(tmp_path / "home"),
        "TRIAGE_DICOM_PORT": str(free_port()),
        "TRIAGE_WORKLIST_PORT": str(free_port()),
        "TRIAGE_DEVICE": "cpu",
    }


@pytest.fixture
def up(environment: dict[str, str], tmp_path: Path) -> Iterator[psutil.Process]:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["deploy/up"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    wait_for_port(int(environment["TRIAGE_DICOM_PORT"]))
    yield psutil.Process(process.pid)
    process.send_signal(signal.SIGINT)
    process.wait(DEADLINE_S)


def part(up: psutil.Process, word: str, but: int = 0) -> psutil.Process | None:
    """Find the living part whose command names this module, other than the one with this id."""
    for child in up.children():
        with contextlib.suppress(psutil.Error):  # it may die while it is looked at
            if word in child.cmdline() and child.pid != but:
                return child
    return None


@needs_environment
def test_a_part_that_dies_is_started_again_and_one_signal_stops_all(
    up: psutil.Process, environment: dict[str, str]
) -> None:
    receiver = wait_for("receiver", lambda: part(up, "receiver"))
    receiver.kill()
    wait_for("second receiver", lambda: part(up, "receiver", but=receiver.pid))
    wait_for_port(int(environment["TRIAGE_DICOM_PORT"]))
    family = up.children(recursive=True)
    up.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(family, timeout=DEADLINE_S)  # a worker ends its self-test
    assert alive == []


@needs_environment
@pytest.mark.timeout(1800)
def test_the_demo_shows_its_three_samples_with_the_outcome_that_is_expected(
    environment: dict[str, str],
) -> None:
    done = subprocess.run(
        ["deploy/demo", "--once"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1700,
    )
    assert done.returncode == 0, done.stderr
    for row in tomllib.loads(SAMPLES.with_suffix(".toml").read_text()).values():
        assert row["study_instance_uid"] in done.stdout


@needs_environment
def test_the_demo_names_a_port_that_is_taken(environment: dict[str, str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", int(environment["TRIAGE_DICOM_PORT"]))):
        done = subprocess.run(
            ["deploy/demo", "--once"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"ihsnet-triage: .*TRIAGE_DICOM_PORT.*\n", done.stderr)


def test_the_samples_are_small_and_have_their_licences() -> None:
    files = [path for path in SAMPLES.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12_000_000
    licences = ROOT / "deploy" / "licences"
    assert "CC BY 4.0" in (licences / "samples.md").read_text()
    assert (licences / "ge-tilted.txt").exists()


def test_the_samples_hold_nothing_that_a_sender_of_the_whole_folder_would_stop_at() -> None:
    assert {path.suffix for path in SAMPLES.rglob("*") if path.is_file()} == {".dcm"}


def test_asking_for_help_starts_nothing() -> None:
    asked = subprocess.run(
        ["deploy/up", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert asked.returncode == 0
    assert asked.stdout.startswith("Usage: ./deploy/up")
