"""The page's role on PostgreSQL: everything that the page does works, and nothing else does."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege

from schema.database import Database, connect, open_database, upgrade
from schema.readers import Role
from schema.settings import Settings
from schema.states import Outcome
from schema.tables import Base, LoginSession, Study, StudyEvent, User, Verdict
from tests.support.pages import Browser
from tests.support.postgresql import create_database, waits_for_a_lock
from tests.support.processes import wait_for
from tests.support.rows import add_job, add_series, add_study, done
from worklist.access.sessions import begin_session
from worklist.access.users import add_user, remove_user
from worklist.acknowledgement import UNREAD_CRITICAL, escalate
from worklist.page import make_app

ROLE = Path(__file__).parents[2] / "deploy" / "postgresql" / "page_role.sql"
PASSWORD = "correct horse battery"


def run(database: Database, sql: str) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(sql)


@pytest.fixture(scope="module")
def owner(postgresql_url: str) -> Iterator[Database]:
    settings = Settings(_env_file=None, database_url=create_database(postgresql_url))
    upgrade(settings)
    opened = connect(settings)
    for _ in range(2):  # it is run again after each update
        run(opened, ROLE.read_text())
    with opened.transaction() as session:
        for uid in ("1.2.3", "1.2.9"):
            series = add_series(add_study(session, uid), session)
            add_job(series, session, **done(Outcome.POSITIVE, 1))
    yield opened
    opened.engine.dispose()


@pytest.fixture(scope="module")
def login(owner: Database) -> str:
    name = f"page_{uuid.uuid4().hex}"
    run(owner, f"CREATE ROLE {name} LOGIN IN ROLE triage_page")
    return owner.engine.url.set(username=name).render_as_string(hide_password=False)


@pytest.fixture
def settings(login: str, tmp_path: Path) -> Settings:
    return Settings(_env_file=None, home=tmp_path, database_url=login)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = open_database(settings)
    yield opened
    opened.engine.dispose()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/?view=all&search=doe",
        "/study/1.2.3",
        "/wall",
        "/performance",
        "/model",
        "/metrics",
        "/healthz",
        "/api/worklist",
        "/api/study/1.2.3",
    ],
)
def test_every_page_can_be_read(database: Database, settings: Settings, path: str) -> None:
    assert Browser(make_app(database, settings)).get(path).status_code == 200


def test_what_readers_do_is_stored(database: Database, settings: Settings) -> None:
    page = Browser(make_app(database, settings))
    form = {"agrees": "no", "cause": "CALCIFICATION", "comment": "plexus", "next": "/"}
    assert page.post("/api/study/1.2.3/acknowledge", {}).status_code == 200
    assert page.post("/api/study/1.2.3/take-back", {}).status_code == 200
    assert page.post("/study/1.2.3/verdict", form).status_code == 303
    with database.reading() as session:
        assert session.scalars(sa.select(Verdict.comment)).all() == ["plexus"]


def test_what_nobody_saw_is_called_out(database: Database) -> None:
    assert escalate(database, timedelta(0)) >= 1
    with database.reading() as session:
        event = sa.select(StudyEvent.kind).join(Study).where(Study.study_instance_uid == "1.2.9")
        assert session.scalars(event).all() == [UNREAD_CRITICAL]


def test_users_come_log_in_and_go(database: Database, settings: Settings) -> None:
    with database.transaction() as session:
        add_user(session, "anna", Role.READER, PASSWORD)
    assert Browser(make_app(database, settings)).log_in("anna", PASSWORD).status_code == 303
    with database.transaction() as session:
        assert session.scalar(sa.select(sa.func.count(LoginSession.id))) == 1
        add_user(session, "anna", Role.ADMIN, PASSWORD)
        remove_user(session, "anna")
    with database.reading() as session:
        assert session.scalar(sa.select(sa.func.count(User.id))) == 0


def test_a_session_that_begins_beside_a_new_password_ends_with_the_old_one(
    database: Database,
) -> None:
    def change() -> None:
        with database.transaction() as session:
            add_user(session, "anna", Role.READER, "another horse battery")

    with database.transaction() as session:
        anna = add_user(session, "anna", Role.READER, PASSWORD)
    with ThreadPoolExecutor(1) as admin:
        with database.transaction() as session:
            assert begin_session(session, anna, hours=1)
            changed = admin.submit(change)
            wait_for("change that waits", lambda: waits_for_a_lock(database))
        changed.result()
    with database.transaction() as session:
        assert session.scalar(sa.select(sa.func.count(LoginSession.id))) == 0
        remove_user(session, "anna")


def test_every_table_can_be_read_and_so_can_one_that_comes_later(
    owner: Database, database: Database
) -> None:
    run(owner, "CREATE TABLE later (id integer)")
    for table in [*Base.metadata.tables, "later"]:
        run(database, f"SELECT count(*) FROM {table}")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE study SET outcome = 'NEGATIVE'",
        "UPDATE study SET priority = 0, acknowledged_at = now()",
        "UPDATE study SET patient_id = '1'",
        "DELETE FROM study",
        "INSERT INTO study (study_instance_uid) VALUES ('1.2.4')",
        "UPDATE job SET state = 'READY'",
        "INSERT INTO job (series_id, revision) VALUES (1, 9)",
        "DELETE FROM job",
        "DELETE FROM instance",
        "UPDATE delivery SET state = 'SENT'",
        "UPDATE destination SET held = true",
        "UPDATE verdict SET agrees = true",
        "DELETE FROM verdict",
        "DELETE FROM study_event",
        "UPDATE alembic_version SET version_num = ''",
        "DROP TABLE login_session",
    ],
)
def test_nothing_else_can_be_written(database: Database, sql: str) -> None:
    with pytest.raises(sa.exc.ProgrammingError) as refused:
        run(database, sql)
    assert isinstance(refused.value.orig, InsufficientPrivilege)
