"""Who may look at the page, and what is written of it."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session
from starlette.datastructures import URL
from starlette.requests import Request

from schema.database import Database, open_database
from schema.readers import Role
from schema.settings import Settings
from schema.states import Outcome
from schema.tables import LoginSession, User
from tests.support.pages import Browser
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, done
from worklist.access.attempts import MOST_OF_A_NAME, WITHIN_S, Attempts
from worklist.access.guard import Gate, reader_of
from worklist.access.sessions import Reader
from worklist.access.users import (
    UserError,
    add_user,
    find_by_proxys_name,
    hasher,
    remove_user,
)
from worklist.page import make_app

PASSWORD = "correct horse battery"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def database(home: Path) -> Iterator[Database]:
    opened = open_database(Settings(home=home))
    with opened.transaction() as session:
        add_job(add_series(add_study(session), session), session, **done(Outcome.POSITIVE, 1))
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def password_hash() -> str:
    return hasher.hash(PASSWORD)  # slow on purpose, so once


@pytest.fixture
def users(database: Database, password_hash: str) -> None:
    with database.transaction() as session:
        for role in Role:
            add_user(session, role.value, role, None).password_hash = password_hash


def browser(database: Database, home: Path, address: str = "127.0.0.1", **given: str) -> Browser:
    return Browser(make_app(database, Settings(home=home, **given)), address)


@pytest.fixture
def stranger(database: Database, home: Path, users: None) -> Browser:
    return browser(database, home)


@pytest.fixture
def reader(stranger: Browser) -> Browser:
    stranger.log_in("reader", PASSWORD)
    return stranger


def audited(home: Path) -> list[str]:
    lines = (home / "audit.log").read_text(encoding="utf-8").splitlines()
    codes = []
    for line in lines:
        message = ElementTree.fromstring(line)
        kind = message.find("EventIdentification/EventTypeCode")
        event = message.find("EventIdentification/EventID")
        found = kind if kind is not None else event
        assert found is not None
        codes.append(found.attrib["csd-code"])
    return codes


def test_a_page_on_loopback_without_users_asks_nobody(database: Database, home: Path) -> None:
    assert browser(database, home).get("/").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},  # a name that was pointed at this host
        {"host": "127.0.0.1.evil.example:8080"},
        {"host": "localhost", "x-forwarded-for": "10.1.2.3"},  # a proxy's whole network
    ],
)
def test_a_page_without_users_answers_browsers_on_its_own_host_alone(
    database: Database, home: Path, headers: dict[str, str]
) -> None:
    local = browser(database, home)
    assert local.get("/", headers).headers["location"] == "/login?next=/"
    assert local.get("/api/worklist", headers).status_code == 401


def test_a_login_that_nobody_has_yet_says_what_to_do(database: Database, home: Path) -> None:
    assert "python -m worklist user add NAME" in browser(database, home).get("/login").text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_every_name_of_this_host_is_its_own(database: Database, home: Path, host: str) -> None:
    assert browser(database, home).get("/", {"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/study/1.2.3", "/wall", "/model", "/performance"])
def test_a_stranger_is_sent_to_the_login_and_learns_nothing(stranger: Browser, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=/")
    assert "Phantom" not in answer.text


@pytest.mark.parametrize("path", ["/api/worklist", "/api/study/1.2.3", "/metrics", "/events"])
def test_a_stranger_gets_nothing_from_the_api(stranger: Browser, path: str) -> None:
    assert stranger.get(path).status_code == 401


@pytest.mark.parametrize("host", ["x/static/?", "localhost/login?", "localhost/static/#"])
@pytest.mark.parametrize("path", ["/api/worklist", "/performance", "/"])
def test_no_host_that_is_named_makes_a_page_public(
    stranger: Browser, monkeypatch: pytest.MonkeyPatch, path: str, host: str
) -> None:
    named = URL(f"http://{host}{path}")  # as Starlette put it together before 1.0.1
    monkeypatch.setattr(Request, "url", named)
    assert stranger.get(path, {"host": host}).status_code in (303, 401)


def test_a_view_without_a_reader_is_nobodys() -> None:
    with pytest.raises(RuntimeError, match="needs a reader"):
        reader_of(Request({"type": "http", "reader": None}))


def test_a_login_opens_the_list(reader: Browser) -> None:
    assert "Phantom" in reader.get("/").text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger: Browser) -> None:
    cookie = stranger.log_in("reader", PASSWORD).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_the_password_and_the_token_are_stored_as_hashes(
    reader: Browser, database: Database
) -> None:
    with database.reading() as session:
        stored = session.scalars(sa.select(LoginSession)).one()
        assert stored.token_sha256 != next(iter(reader.cookies.values()))
        assert PASSWORD not in (stored.user.password_hash or PASSWORD)


def test_after_logging_out_the_old_cookie_opens_nothing(reader: Browser) -> None:
    old = dict(reader.cookies)
    reader.post("/logout", {"csrf": reader.token()})
    reader.cookies = old
    assert reader.get("/").status_code == 303


def test_a_wrong_password_opens_nothing(stranger: Browser) -> None:
    assert stranger.log_in("reader", "wrong horse battery").status_code == 401
    assert stranger.get("/").status_code == 303


def test_an_unknown_name_is_answered_like_a_wrong_password(stranger: Browser) -> None:
    wrong, unknown = (stranger.log_in(name, "wrong horse") for name in ("reader", "nobody"))
    assert (wrong.status_code, wrong.text) == (unknown.status_code, unknown.text)


def test_after_too_many_wrong_passwords_the_right_one_waits() -> None:
    clock = [0.0]
    attempts = Attempts(lambda: clock[0])
    for _ in range(MOST_OF_A_NAME):
        attempts.failed("reader", "10.0.0.1")
    assert not attempts.allowed("reader", "10.0.0.2")
    assert attempts.allowed("admin", "10.0.0.1")
    clock[0] = WITHIN_S + 1
    assert attempts.allowed("reader", "10.0.0.2")


def test_the_login_goes_on_within_this_site_alone(stranger: Browser) -> None:
    form = {"name": "reader", "password": PASSWORD, "next": "//evil.example/"}
    assert stranger.post("/login", form).headers["location"] == "/"


@pytest.mark.parametrize("token", ["", "guessed"])
def test_a_form_without_the_token_of_the_login_changes_nothing(reader: Browser, token: str) -> None:
    answer = reader.post("/study/1.2.3/acknowledge", {"csrf": token})
    assert answer.status_code == 403
    assert reader.get("/api/worklist").json()[0]["unread"]


def test_another_site_changes_nothing_even_where_nobody_logs_in(
    database: Database, home: Path
) -> None:
    local = browser(database, home)
    answer = local.post("/study/1.2.3/acknowledge", {}, {"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert local.get("/api/worklist").json()[0]["unread"]


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        ("reader", "/api/verdicts", 403),
        ("operator", "/api/verdicts", 200),
        ("operator", "/users", 403),
        ("admin", "/users", 200),
    ],
)
def test_a_role_may_what_it_may(stranger: Browser, role: str, path: str, status: int) -> None:
    stranger.log_in(role, PASSWORD)
    assert stranger.get(path).status_code == status


def test_a_program_comes_in_by_http_basic(stranger: Browser) -> None:
    coded = base64.b64encode(f"reader:{PASSWORD}".encode()).decode()
    basic = {"authorization": f"Basic {coded}"}
    assert stranger.get("/api/worklist", basic).status_code == 200
    assert stranger.get("/", basic).headers["location"] == "/login?next=/"


@pytest.mark.parametrize(
    ("address", "status"), [("10.1.0.7", 200), ("10.1.0.8", 303), ("127.0.0.1", 303)]
)
def test_the_header_of_single_sign_on_is_believed_from_the_proxy_alone(
    database: Database, home: Path, address: str, status: int
) -> None:
    single = browser(
        database,
        home,
        address,
        sso_header="X-Remote-User",
        sso_proxies="10.1.0.7",
        sso_role="reader",
    )
    assert single.get("/", {"x-remote-user": "anna"}).status_code == status


def test_a_name_that_nobody_added_needs_a_role_to_come_in_by_single_sign_on(
    database: Database, home: Path
) -> None:
    single = browser(database, home, sso_header="X-Remote-User", sso_proxies="127.0.0.0/8")
    assert single.get("/", {"x-remote-user": "anna"}).status_code == 303


def named_by_proxy(database: Database, home: Path, name: bytes) -> Reader | None:
    gate = Gate(database, Settings(home=home, sso_header="X-User", sso_proxies="10.1.0.7"))
    scope = {"type": "http", "path": "/", "headers": [(b"x-user", name)], "client": ("10.1.0.7", 1)}
    return gate.identify(Request(scope))


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("HOSPITAL\\anna", b"HOSPITAL\\anna"),
        ("HOSPITAL\\anna", b"hospital\\Anna"),
        ("jürgen", "JÜRGEN".encode()),
        ("jürgen", "Ju\u0308rgen".encode()),
        ("jürgen", "jürgen".encode("latin-1")),
        ("иванов@example.org", "Иванов@EXAMPLE.org".encode()),
        ("नेहा", "नेहा".encode()),
    ],
)
def test_a_directorys_name_has_its_role_by_single_sign_on(
    database: Database, home: Path, added: str, named: bytes
) -> None:
    with database.transaction() as session:
        add_user(session, added, Role.ADMIN, None)
    assert named_by_proxy(database, home, named) == Reader(added, Role.ADMIN, "", "single sign-on")


@pytest.mark.parametrize("named", ["\N{KELVIN SIGN}arl", "karl2", "HOSPITAL\\karl"])
def test_another_name_has_no_role_by_single_sign_on(
    database: Database, home: Path, named: str
) -> None:
    with database.transaction() as session:
        add_user(session, "karl", Role.ADMIN, None)
    assert named_by_proxy(database, home, named.encode()) is None


def test_of_two_users_of_before_who_differ_in_case_each_comes_in_by_its_own_name(
    database: Database,
) -> None:
    with database.transaction() as session:
        for name, role in (("Anna", Role.ADMIN), ("anna", Role.READER)):
            session.add(User(name=name, role=role, created_at=LONG_AGO))
        session.flush()
        found = [find_by_proxys_name(session, name) for name in ("Anna", "anna", "ANNA")]
    assert [user.role if user else None for user in found] == [Role.ADMIN, Role.READER, None]


def test_the_trail_names_who_did_what_to_which_study(reader: Browser, home: Path) -> None:
    reader.get("/study/1.2.3")
    reader.post("/study/1.2.3/acknowledge", {"csrf": reader.token()})
    assert audited(home) == ["110122", "110103", "LIST", "ACKNOWLEDGED"]
    last = (home / "audit.log").read_text().splitlines()[-1]
    assert 'UserID="reader"' in last
    assert 'ParticipantObjectID="1.2.3"' in last
    assert "Phantom" not in last


def test_a_list_that_keeps_itself_current_is_on_the_trail_once(reader: Browser, home: Path) -> None:
    for path in ("/", "/", "/?search=Ash", "/?search=Ash", "/api/worklist"):
        reader.get(path)
    assert audited(home) == ["110122", "LIST", "LIST"]


@pytest.mark.parametrize(
    ("proxies", "named", "address"),
    [
        ("10.1.0.7", "203.0.113.9, 192.168.4.5", "192.168.4.5"),
        ("10.1.0.7", "203.0.113.9, 192.168.4.5, 10.1.0.7", "192.168.4.5"),
        ("10.1.0.7", "no address", "10.1.0.7"),
        ("10.1.0.8", "192.168.4.5", "10.1.0.7"),  # not ours: whatever it says
    ],
)
def test_behind_our_proxy_the_trail_has_the_address_that_it_names(
    database: Database, users: None, home: Path, proxies: str, named: str, address: str
) -> None:
    proxied = browser(database, home, "10.1.0.7", sso_header="X-User", sso_proxies=proxies)
    form = {"name": "reader", "password": "wrong horse battery"}
    proxied.post("/login", form, {"x-forwarded-for": named})
    assert f'NetworkAccessPointID="{address}"' in (home / "audit.log").read_text()


def test_the_trail_is_for_its_owner_alone(reader: Browser, home: Path) -> None:
    assert (home / "audit.log").stat().st_mode & 0o077 == 0


def test_a_failed_login_is_on_the_trail_as_failed(stranger: Browser, home: Path) -> None:
    stranger.log_in("reader", "wrong horse battery")
    assert 'EventOutcomeIndicator="4"' in (home / "audit.log").read_text()


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ANNA", None),  # to single sign-on the same as the one that is there
        ("ANNA", PASSWORD),
        ("jürgen", PASSWORD),
        ("HOSPITAL\\otto", PASSWORD),
        ("\\otto", None),
        ("<b>", None),
        ("otto\u202e", None),
        ("o" * 65, None),
        ("", None),
    ],
)
def test_a_name_that_is_none_or_somebodys_in_other_capitals_is_refused(
    database: Database, name: str, password: str | None
) -> None:
    with database.transaction() as session:
        add_user(session, "anna", Role.READER, None)
        with pytest.raises(UserError, match="user "):
            add_user(session, name, Role.ADMIN, password)


def test_a_short_password_is_refused(database: Database) -> None:
    with pytest.raises(UserError, match="12 characters"), database.transaction() as session:
        add_user(session, "anna", Role.READER, "short")


@pytest.mark.parametrize("name", ["", "a b", "<script>", "x" * 65])
def test_a_name_is_plain(database: Database, name: str) -> None:
    with pytest.raises(UserError), database.transaction() as session:
        add_user(session, name, Role.READER, PASSWORD)


def test_a_removed_user_is_out_at_once(reader: Browser, database: Database) -> None:
    with database.transaction() as session:
        remove_user(session, "reader")
    assert reader.get("/").status_code == 303


def test_a_new_password_ends_the_old_sessions(reader: Browser, database: Database) -> None:
    with database.transaction() as session:
        add_user(session, "reader", Role.READER, "another horse battery")
    assert reader.get("/").status_code == 303


def change_reader(session: Session) -> None:
    add_user(session, "reader", Role.READER, "another horse battery")


def remove_reader(session: Session) -> None:
    remove_user(session, "reader")


@pytest.mark.parametrize("change", [change_reader, remove_reader])
def test_a_login_opens_nothing_where_its_user_changed_meanwhile(
    stranger: Browser,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Session], None],
) -> None:
    check = Gate.check

    def check_and_change(gate: Gate, name: str, password: str, address: str) -> User | None:
        user = check(gate, name, password, address)
        with database.transaction() as session:
            change(session)
        return user

    monkeypatch.setattr(Gate, "check", check_and_change)
    assert stranger.log_in("reader", PASSWORD).status_code == 401
    assert stranger.get("/").status_code == 303


def test_a_hash_is_argon2id_with_the_memory_of_rfc_9106() -> None:
    assert re.match(r"\$argon2id\$v=19\$m=65536,t=3,p=4\$", hasher.hash("x"))
