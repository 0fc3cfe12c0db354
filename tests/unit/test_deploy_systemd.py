"""The systemd units: systemd accepts them, each is hardened, and what they name exists."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from receiver.processes.listeners import PLAIN
from schema.settings import Settings
from tests.support.deployments import is_ours, unknown_settings

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
PROGRAMS = "/opt/ihsnet-triage/.venv/bin/"
HARDENING = {
    "UMask=0077",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
}
SOCKETS = sorted(FOLDER.glob("*.socket"))
every_unit = pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)


def values(unit: Path, key: str) -> list[str]:
    lines = (line.partition("=") for line in unit.read_text().splitlines())
    return [value for name, _, value in lines if name == key]


def test_every_part_has_its_unit() -> None:
    assert {unit.stem for unit in UNITS} == {
        "ihsnet-receiver",
        "ihsnet-worker",
        "ihsnet-worker@",
        "ihsnet-deliver",
        "ihsnet-worklist",
    }


@every_unit
def test_every_unit_is_hardened(unit: Path) -> None:
    assert HARDENING - set(unit.read_text().splitlines()) == set()
    assert values(unit, "User") == ["ihsnet"]


@every_unit
def test_the_worker_alone_sees_devices_and_those_are_gpus(unit: Path) -> None:
    if unit.stem in ("ihsnet-worker", "ihsnet-worker@"):
        assert values(unit, "DevicePolicy") == ["closed"]
        assert values(unit, "DeviceAllow") == ["char-nvidia* rw"]
    else:
        assert values(unit, "PrivateDevices") == ["yes"]


def test_one_of_several_workers_differs_from_a_lone_one_by_what_must_not_be_shared() -> None:
    lone, one_of_several = (
        (FOLDER / f"ihsnet-worker{suffix}.service").read_text().splitlines() for suffix in ("", "@")
    )
    own = {line for line in one_of_several if "%i" in line}
    assert {line.partition("=")[0] for line in own} == {
        "Description", "EnvironmentFile", "Environment", "StateDirectory", "ExecStart",
    }  # fmt: skip
    said = {line for line in one_of_several if not line.startswith("#")}
    shared = {line for line in lone if not line.startswith("#")} & said
    assert said - own == shared
    # Its folder, its port, its GPU and its name; the GPU by what CUDA shows, for TRIAGE_DEVICE of
    # the file that all read would win over one that is set here.
    assert "StateDirectory=ihsnet-worker-%i" in own
    assert "Environment=TRIAGE_WORKER_METRICS_PORT=912%i" in own
    assert "Environment=CUDA_VISIBLE_DEVICES=%i" in own
    assert any(line.endswith("-n triage%i@%%h") for line in own)


def install_commands() -> str:
    """Give what the page has an operator type to install the units, in its order."""
    text = (FOLDER.parents[1] / "docs" / "operations.md").read_text()
    section = text.partition("### As systemd services")[2].partition("\n### ")[0]
    return "\n".join(section.split("```")[1::2])


@every_unit
def test_the_install_makes_what_a_unit_reads_before_it_enables_it(unit: Path) -> None:
    commands = install_commands()
    named = r"systemctl enable --now .*" + re.escape(unit.stem)
    enabled = re.search(named, commands)
    assert enabled is not None
    before = commands[: enabled.start()]
    credentials = [line.partition(":")[2] for line in values(unit, "LoadCredential")]
    files = [name for name in values(unit, "EnvironmentFile") if not name.startswith("-")]
    lines = before.splitlines()
    # A secret is root's alone; what else lies there the service's user may read.
    for mode, names in {"-m 0600": credentials, "-g ihsnet -m 0640": files}.items():
        written = [line for line in lines if line.startswith(f"install {mode} ")]
        assert [name for name in names if not any(f" {name} " in line for line in written)] == []
    assert "-m schema upgrade" in before
    assert unit.stem == "ihsnet-receiver" or "enable --now ihsnet-receiver.socket" in before


def test_the_install_lets_somebody_log_in_before_it_opens_the_page() -> None:
    before, enabled, _ = install_commands().partition("systemctl enable --now ihsnet-worklist")
    assert enabled
    assert "-m worklist user add" in before


@every_unit
def test_the_page_alone_cannot_write_the_storage(unit: Path) -> None:
    assert values(unit, "ReadWritePaths") == (
        [] if unit.stem == "ihsnet-worklist" else ["/srv/triage"]
    )


def test_the_receiver_may_start_as_many_threads_as_its_largest_settings_need() -> None:
    known = Settings.model_json_schema()["properties"]
    acceptors = known["acceptors"]["anyOf"][0]["maximum"]
    associations = known["max_associations"]["maximum"]
    of_one = associations + 1 + 4  # silent, the newest of them, and what each process has anyway
    (allowed,) = values(FOLDER / "ihsnet-receiver.service", "TasksMax")
    assert int(allowed) > acceptors * of_one + associations


@every_unit
def test_every_setting_and_program_of_a_unit_exists(unit: Path) -> None:
    given = [
        word.partition("=")[0] for line in values(unit, "Environment") for word in line.split()
    ]
    assert given
    assert unknown_settings(given) == []
    (command,) = values(unit, "ExecStart")
    assert is_ours(command.split())


def test_the_port_is_handed_to_the_receiver_by_the_name_of_what_it_is_for() -> None:
    (port,) = SOCKETS
    assert values(port, "FileDescriptorName") == [PLAIN]
    assert values(port, "ListenStream") == [str(Settings.model_fields["dicom_port"].default)]
    assert values(port, "Service") == ["ihsnet-receiver.service"]


@every_unit
def test_a_unit_hands_its_secrets_over_as_files(unit: Path) -> None:
    handed = {line.partition(":")[0] for line in values(unit, "LoadCredential")}
    read = {
        word.partition("=%d/")[2]
        for line in values(unit, "Environment")
        for word in line.split()
        if "_FILE=" in word
    }
    assert read == handed
    assert "database-url" in handed


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze (Debian: systemd) is absent"
)
@pytest.mark.parametrize("unit", [*UNITS, *SOCKETS], ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    for program in ("python", "celery"):  # it looks whether the programs are there
        (tmp_path / program).symlink_to("/bin/true")
    for file in (*UNITS, *SOCKETS):
        (tmp_path / file.name).write_text(file.read_text().replace(PROGRAMS, f"{tmp_path}/"))
    copy = tmp_path / unit.name
    ended = subprocess.run(
        ["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")


def test_the_page_may_write_the_audit_trail_where_the_example_has_it() -> None:
    example = (FOLDER.parent / "example.env").read_text()
    (file,) = re.findall(r"^#TRIAGE_AUDIT_FILE=(.*)$", example, re.MULTILINE)
    (folder,) = values(FOLDER / "ihsnet-worklist.service", "LogsDirectory")
    assert Path(file).parent == Path("/var/log") / folder
