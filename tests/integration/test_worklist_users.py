"""`python -m worklist user`, who may listen where, and too many wrong passwords."""

import subprocess
import sys
from pathlib import Path

import pytest

from schema.database import open_database
from schema.readers import Role
from schema.settings import Settings
from tests.support.pages import Browser
from worklist.access.attempts import MOST_OF_A_NAME
from worklist.access.users import add_user
from worklist.page import make_app
from worklist.server import require_login_beyond_loopback

PASSWORD = "correct horse battery"


def run(home: Path, *verb: str, said: str = "", **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worklist", *verb],
        env={"PATH": "", "TRIAGE_HOME": str(home), **given},
        input=said,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_user_is_added_listed_and_removed(tmp_path: Path) -> None:
    added = run(tmp_path, "user", "add", "anna", "--role", "reader", said=f"{PASSWORD}\n")
    assert (added.returncode, added.stdout) == (0, "anna may log in as reader\n")
    assert run(tmp_path, "user", "list").stdout == "anna\treader\tpassword\n"
    page = Browser(make_app(open_database(Settings(home=tmp_path)), Settings(home=tmp_path)))
    assert page.log_in("anna", PASSWORD).status_code == 303
    assert run(tmp_path, "user", "remove", "anna").returncode == 0
    assert run(tmp_path, "user", "list").stdout == ""


def test_a_user_without_password_comes_by_single_sign_on_alone(tmp_path: Path) -> None:
    run(tmp_path, "user", "add", "otto", "--role", "operator", "--no-password")
    assert run(tmp_path, "user", "list").stdout == "otto\toperator\tsingle sign-on alone\n"


@pytest.mark.parametrize(
    ("name", "role", "said"),
    [("anna", "king", PASSWORD), ("anna", "reader", "short"), ("<b>", "reader", PASSWORD)],
)
def test_what_is_no_user_is_refused_without_a_traceback(
    tmp_path: Path, name: str, role: str, said: str
) -> None:
    answer = run(tmp_path, "user", "add", name, "--role", role, said=f"{said}\n")
    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr


def test_the_list_of_users_makes_no_database(tmp_path: Path) -> None:
    assert run(tmp_path / "typo", "user", "list").returncode == 2
    assert not (tmp_path / "typo").exists()


def test_the_page_refuses_the_network_before_anybody_can_log_in(tmp_path: Path) -> None:
    answer = run(tmp_path, TRIAGE_WORKLIST_HOST="0.0.0.0", TRIAGE_WORKLIST_PORT="0")
    assert answer.returncode == 2
    assert "python -m worklist user add NAME --role admin" in answer.stderr


def test_with_a_user_the_page_may_listen_to_the_network(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path, worklist_host="0.0.0.0")
    database = open_database(settings)
    with pytest.raises(SystemExit):
        require_login_beyond_loopback(settings, database)
    with database.transaction() as session:
        add_user(session, "anna", Role.ADMIN, PASSWORD)
    require_login_beyond_loopback(settings, database)


def test_too_many_wrong_passwords_are_answered_429_even_to_the_right_one(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, home=tmp_path)
    database = open_database(settings)
    with database.transaction() as session:
        add_user(session, "anna", Role.READER, PASSWORD)
    page = Browser(make_app(database, settings))
    statuses = [page.log_in("anna", "wrong horse").status_code for _ in range(MOST_OF_A_NAME)]
    assert set(statuses) == {401}
    answer = page.log_in("anna", PASSWORD)
    assert answer.status_code == 429
    assert "Too many wrong passwords" in answer.text
