import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from schema.database import open_database, upgrade
from schema.settings import Settings
from schema.states import Outcome, StudyState
from tests.support.rows import show_end, study_row
from worklist.warnings import MISSING

pytestmark = pytest.mark.slow  # starts a program for each test

WITHIN_S = 60


def environment(home: Path, **settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "TRIAGE_" not in name}
    return inherited | {"TRIAGE_HOME": str(home)} | settings


def run(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worklist", *arguments],
        env=environment(home, **settings),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )


def add_study(home: Path, **columns: Any) -> None:
    values: dict[str, Any] = {
        "patient_id": "049",
        "patient_name": "DOE^JANE",
        "received_at": datetime.now(UTC),
        "state": StudyState.DONE,
        "outcome": Outcome.NOT_ANALYSED,
        "reason": "only a localizer",
    }
    database = open_database(Settings(home=home))
    with database.transaction() as session:
        session.add(study_row(**values | columns))
    database.engine.dispose()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worklist"],
        env=environment(tmp_path, TRIAGE_WORKLIST_PORT="0"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://[\d.:]+/", line):
            return found.group()
    pytest.fail("the page did not start")


def test_the_list_of_a_new_system_is_an_empty_array(tmp_path: Path) -> None:
    upgrade(Settings(home=tmp_path))
    assert json.loads(run(tmp_path, "list", "--json").stdout) == []


def test_the_list_of_a_system_that_is_down_warns_beside_the_array(tmp_path: Path) -> None:
    database = open_database(Settings(home=tmp_path))
    show_end(database)
    database.engine.dispose()
    ended = run(tmp_path, "list", "--json")
    assert json.loads(ended.stdout) == []
    assert ended.stderr.splitlines() == list(MISSING.values())


@pytest.mark.parametrize("command", [("list",), ("list", "--json"), ("explain", "1.2.3")])
def test_a_command_that_reads_makes_no_database(tmp_path: Path, command: tuple[str, ...]) -> None:
    ended = run(tmp_path, *command, TRIAGE_HOME=str(tmp_path / "typo"))
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(r"ihsnet-triage: TRIAGE_HOME: .*typo.*\n", ended.stderr)
    assert not (tmp_path / "typo").exists()


def test_a_bad_database_url_is_told_as_what_it_is(tmp_path: Path) -> None:
    ended = run(tmp_path, "list", TRIAGE_DATABASE_URL="foo")
    assert ended.stderr.startswith("ihsnet-triage: TRIAGE_DATABASE_URL: ")


def test_a_study_is_one_line_in_a_pipe(tmp_path: Path) -> None:
    for number in range(5):
        add_study(tmp_path, study_instance_uid=f"1.2.{number}", reason="long " * 60)
    lines = run(tmp_path, "list").stdout.splitlines()
    assert [line for line in lines if "1.2.3" in line and "only" not in line] == [
        next(line for line in lines if "1.2.3" in line)
    ]
    assert len(lines) == 1 + 5 + 1  # the titles and what the list is not


def test_the_terminal_filters_as_the_page_does(tmp_path: Path) -> None:
    add_study(tmp_path)
    add_study(tmp_path, study_instance_uid="1.2.4", outcome=Outcome.FAILED, accession_number="B2")

    def uids(*options: str) -> list[str]:
        listed = json.loads(run(tmp_path, "list", "--json", *options).stdout)
        return [study["study_instance_uid"] for study in listed]

    assert uids("--outcome", "failed") == ["1.2.4"]
    assert uids("--search", "b2", "--since", "1h", "--unread") == ["1.2.4"]
    assert uids("--limit", "1") == ["1.2.4"]


def test_a_filter_that_is_none_is_one_line_and_status_2(tmp_path: Path) -> None:
    add_study(tmp_path)
    ended = run(tmp_path, "list", "--outcome", "GOOD")
    assert ended.returncode == 2
    assert ended.stderr.startswith("ihsnet-triage: outcome: 'GOOD' is none of POSITIVE")


def test_a_cut_list_says_how_to_go_on(tmp_path: Path) -> None:
    add_study(tmp_path)
    add_study(tmp_path, study_instance_uid="1.2.4")
    told = run(tmp_path, "list", "--json", "--limit", "1").stderr
    rest = run(tmp_path, "list", "--json", *told.split()[-2:])
    assert [study["study_instance_uid"] for study in json.loads(rest.stdout)] == ["1.2.3"]


def test_a_study_is_explained_by_its_accession_number(tmp_path: Path) -> None:
    add_study(tmp_path)
    assert json.loads(run(tmp_path, "explain", "A1", "--json").stdout)["patient_id"] == "049"


def test_an_accession_number_of_two_studies_names_both(tmp_path: Path) -> None:
    add_study(tmp_path)
    add_study(tmp_path, study_instance_uid="1.2.4")
    ended = run(tmp_path, "explain", "A1")
    assert ended.returncode == 2
    assert "1.2.3, 1.2.4" in ended.stderr


def test_the_list_prints_the_contract_as_json(tmp_path: Path) -> None:
    add_study(tmp_path)
    (entry,) = json.loads(run(tmp_path, "list", "--json").stdout)
    assert (entry["study_instance_uid"], entry["outcome"]) == ("1.2.3", "NOT_ANALYSED")
    assert (entry["findings"], entry["objects"]) == ([], [])


def test_the_piped_table_is_plain_text_with_the_reason(tmp_path: Path) -> None:
    add_study(tmp_path)
    printed = run(tmp_path, "list").stdout
    assert "\x1b" not in printed
    assert "Not analysed" in printed
    assert "only a localizer" in printed


def test_a_long_uid_is_not_broken_in_a_pipe(tmp_path: Path) -> None:
    uid = "1.2." + "3" * 60
    add_study(tmp_path, study_instance_uid=uid, reason="a long reason " * 20)
    assert uid in run(tmp_path, "list").stdout


def test_a_name_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    add_study(tmp_path, patient_id="\x1b[2J", reason="[red]x[/red]")
    printed = run(tmp_path, "list").stdout
    assert "\x1b" not in printed
    assert "[red]x[/red]" in printed


def test_a_patient_name_is_not_printed(tmp_path: Path) -> None:
    add_study(tmp_path)
    assert "DOE" not in run(tmp_path, "list").stdout + run(tmp_path, "explain", "1.2.3").stdout


def test_a_study_is_explained_as_text(tmp_path: Path) -> None:
    add_study(tmp_path)
    assert "only a localizer" in run(tmp_path, "explain", "1.2.3").stdout


@pytest.mark.parametrize("verb", [("list",), ("explain", "1.2.3")])
def test_who_has_seen_a_result_is_said(tmp_path: Path, verb: tuple[str, ...]) -> None:
    now = datetime.now(UTC)
    add_study(tmp_path, finished_at=now, acknowledged_at=now, acknowledged_by="Ann")
    assert "seen by Ann" in run(tmp_path, *verb).stdout


def test_a_study_is_explained_as_json(tmp_path: Path) -> None:
    add_study(tmp_path)
    explained = json.loads(run(tmp_path, "explain", "1.2.3", "--json").stdout)
    assert (explained["reason"], explained["series"]) == ("only a localizer", [])


def test_an_unknown_study_is_one_line_and_status_1(tmp_path: Path) -> None:
    upgrade(Settings(home=tmp_path))
    ended = run(tmp_path, "explain", "9.9")
    assert ended.returncode == 1
    assert ended.stderr == "ihsnet-triage: no study 9.9 was received\n"


@pytest.mark.parametrize(
    "settings",
    [
        {"TRIAGE_WORKLIST_PORT": "http"},
        {"TRIAGE_WORKLIST_PRT": "8080"},
        {"TRIAGE_DATABASE_URL": "sqlite:////nowhere/at/all.sqlite3"},
        {"TRIAGE_DATABASE_URL": "nonsense"},
        {"TRIAGE_DATABASE_URL": "postgresql+psycopg://x@127.0.0.1:1/none"},
        {"TRIAGE_HOME": "/dev/null/home"},
    ],
)
def test_a_bad_setting_is_one_line_and_status_2(tmp_path: Path, settings: dict[str, str]) -> None:
    ended = run(tmp_path, "list", **settings)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1


def test_the_list_starts_without_a_web_server(tmp_path: Path) -> None:
    code = "import sys, worklist.__main__; print({'uvicorn', 'starlette'} & {*sys.modules})"
    imported = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert imported == "set()\n"


def test_the_page_is_served(server: subprocess.Popen[str]) -> None:
    with urllib.request.urlopen(address(server) + "healthz", timeout=WITHIN_S) as answer:
        assert answer.read() == b"ok\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_page_cleanly(server: subprocess.Popen[str], number: int) -> None:
    address(server)
    server.send_signal(number)
    assert server.wait(WITHIN_S) == 0


def test_a_taken_port_is_one_line_and_status_2(
    server: subprocess.Popen[str], tmp_path: Path
) -> None:
    taken = address(server).rstrip("/").rpartition(":")[2]
    ended = run(tmp_path, TRIAGE_WORKLIST_PORT=taken)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
