"""What a person meets who types: a wrong setting is one line, and no message loses a word."""

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schema.database import open_database
from schema.settings import Settings
from schema.states import Outcome, StudyState
from tests.support.rows import study_row

UID = "2.25.310262435668491577499071786640324511257"
REASON = "the description [bold]CT[/bold] [0018,5100] is kept"


def command(home: Path, *verb: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *verb],
        env={"PATH": "", "TRIAGE_HOME": str(home), **given},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "verb", [("schema", "upgrade"), ("schema", "check"), ("receiver",), ("worklist", "list")]
)
@pytest.mark.parametrize("url", ["foo", "foo://bar", "mysql://db/x", "postgresql+pg8000://db/x"])
def test_a_bad_database_url_is_one_line_wherever_it_is_read(
    tmp_path: Path, verb: tuple[str, ...], url: str
) -> None:
    ended = command(tmp_path, *verb, TRIAGE_DATABASE_URL=url)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith("ihsnet-triage: TRIAGE_DATABASE_URL: ")


@pytest.mark.parametrize("verb", [("check",), ("forget", "host")])
def test_a_command_that_reads_makes_no_home(tmp_path: Path, verb: tuple[str, ...]) -> None:
    ended = command(tmp_path / "typo", "schema", *verb)
    assert ended.returncode in (1, 2)
    assert "TRIAGE_HOME: there is no database" in ended.stdout + ended.stderr
    assert not (tmp_path / "typo").exists()


def test_words_in_square_brackets_stay_in_what_a_check_says(tmp_path: Path) -> None:
    home = tmp_path / "[bold]home"
    home.mkdir()
    said = command(home, "schema", "check", TRIAGE_STORAGE_DIR=str(home / "[red]away")).stdout
    assert "[bold]home/[red]away" in said


def add_study(home: Path) -> None:
    database = open_database(Settings(_env_file=None, home=home))
    with database.transaction() as session:
        session.add(
            study_row(
                study_instance_uid=UID,
                accession_number="[A1]",
                received_at=datetime.now(UTC),
                state=StudyState.DONE,
                outcome=Outcome.NOT_ANALYSED,
                reason=REASON,
            )
        )
    database.engine.dispose()


@pytest.mark.parametrize("verb", [("list",), ("explain", UID)])
def test_words_in_square_brackets_stay_in_the_list_and_in_an_explanation(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    add_study(tmp_path)
    assert REASON in command(tmp_path, "worklist", *verb).stdout


def test_a_terminal_of_100_columns_does_not_break_the_uid_that_explain_needs(
    tmp_path: Path,
) -> None:
    add_study(tmp_path)
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-m", "worklist", "list"],
        env={"PATH": "", "TRIAGE_HOME": str(tmp_path), "COLUMNS": "100", "TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
        check=True,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # Linux answers the end of a terminal with an error
            break
    os.close(ours)
    assert UID.encode() in said
