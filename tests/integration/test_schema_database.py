import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from receiver.metrics import StandingCollector
from schema import lock_waits
from schema.database import (
    PROGRAM,
    Database,
    Upgrade,
    alembic_config,
    connect,
    is_current,
    open_database,
    upgrade,
)
from schema.errors import DatabaseUnavailableError
from schema.monitoring.life import database_missing
from schema.settings import Settings
from schema.tables import Base, Compatibility, Instance, Study
from tests.support.rows import LONG_AGO, add_job, add_series, add_study, study_row


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_can_be_taken_back(database: Database) -> None:
    with database.engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert not is_current(database)


def test_an_upgrade_tells_from_which_revision_to_which_and_a_second_changes_nothing(
    settings: Settings, database: Database
) -> None:
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert upgrade(settings) == Upgrade(head, head)
    assert is_current(database)
    with database.engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
    assert upgrade(settings) == Upgrade("0001", head)


def test_rows_that_others_point_to_survive_the_newest_upgrade_and_the_way_back(
    settings: Settings, database: Database
) -> None:
    with database.transaction() as session:
        add_series(add_study(session), session)
    with database.engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")
    upgrade(settings)
    with database.reading() as session:
        assert session.scalars(sa.select(Instance)).one().series.study.patient_id == "P1"


def test_names_of_before_are_folded_for_the_search_in_batches(
    settings: Settings, database: Database
) -> None:
    names = ["MÜLLER^EVA", "DOE^JANE", "ИВАНОВ^ПЁТР"]
    with database.transaction() as session:
        for number in range(1002):
            name = names[number % 3]
            session.add(study_row(study_instance_uid=f"1.2.{number}", patient_name=name))
    config = alembic_config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0011")
    upgrade(settings)
    with database.reading() as session:
        found = session.execute(
            sa.select(Study.search_folded, sa.func.count()).group_by(Study.search_folded)
        )
        counted = {row[0]: row[1] for row in found}
    assert counted == {"p1 a1 müller^eva": 334, None: 334, "p1 a1 иванов^пётр": 334}


def test_an_older_program_writes_and_searches_beside_the_folded_letters(
    database: Database,
) -> None:
    with database.transaction() as session:
        add_study(session)
        # What 0.1.0 knows of a name: it sets the column, and reads the text that is computed.
        session.execute(sa.text("UPDATE study SET patient_name = 'ROE^JANE'"))
        query = sa.text("SELECT search_text, search_folded FROM study")
        assert session.execute(query).one() == ("roe^jane p1 a1", None)


def test_what_an_older_receiver_wrote_is_folded_when_its_study_is_next_derived(
    database: Database,
) -> None:
    with database.transaction() as session:
        series = add_series(add_study(session), session)
        session.execute(sa.text("UPDATE study SET patient_name = 'MÜLLER^EVA'"))
        session.expire_all()
        add_job(series, session)  # which derives the study
        session.flush()
        query = sa.text("SELECT search_folded FROM study")
        assert session.execute(query).scalar_one() == "p1 a1 müller^eva"


def test_an_upgrade_names_the_database_without_its_password_and_what_comes_next(
    new_postgresql_url: str, tmp_path: Path
) -> None:
    url = sa.make_url(new_postgresql_url).set(password="sesame")  # the server asks for none
    given = {"TRIAGE_DATABASE_URL": url.render_as_string(hide_password=False)}

    def said() -> list[str]:
        ended = subprocess.run(
            [sys.executable, "-m", "schema", "upgrade"],
            env=os.environ | given | {"TRIAGE_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return ended.stdout.splitlines()

    named = url.render_as_string(hide_password=True)
    first, then = said()
    assert first.startswith(f"{named}: from no tables to revision ")
    assert "page_role.sql" in then
    assert then.endswith("python -m schema check says how they do")
    assert said() == [f"{named}: at revision {first[-4:]}, nothing to do", then]


def test_times_come_back_as_utc(database: Database) -> None:
    with database.transaction() as session:
        add_study(session)
    with database.reading() as session:
        assert session.scalars(sa.select(Study.received_at)).one() == LONG_AGO


def test_the_clock_moves(database: Database) -> None:
    assert database.now() < database.now()


def test_an_error_in_a_transaction_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            add_study(session)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as session:
        assert session.scalars(sa.select(Study)).all() == []


def test_a_database_that_is_away_is_a_transient_error_in_one_line(tmp_path: Path) -> None:
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    settings = Settings(_env_file=None, home=tmp_path, database_url=url)
    with pytest.raises(DatabaseUnavailableError, match="database: connection"):
        open_database(settings)


@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
def test_a_database_that_became_read_only_is_away_and_says_so(
    settings: Settings, database: Database
) -> None:
    assert database_missing(database) is None
    name = sa.make_url(settings.database).database
    with database.engine.begin() as connection:
        words = f"ALTER DATABASE {name} SET default_transaction_read_only = on"
        connection.execute(sa.text(words))
    database.engine.dispose()
    with (
        pytest.raises(DatabaseUnavailableError, match="read-only transaction"),
        database.transaction() as session,
    ):
        add_study(session)
    assert (database_missing(database) or "").startswith("database: read-only, as a standby is: ")
    (up,) = StandingCollector(settings, database).collect()
    assert (up.name, up.samples[0].value) == ("triage_database_up", 0)


def test_a_database_without_migrations_is_refused_with_what_to_do(
    new_postgresql_url: str, tmp_path: Path
) -> None:
    settings = Settings(_env_file=None, home=tmp_path, database_url=new_postgresql_url)
    with pytest.raises(DatabaseUnavailableError, match="python -m schema upgrade"):
        open_database(settings)
    connect(settings).engine.dispose()


def test_every_connection_gives_up_on_a_silent_network(
    new_postgresql_url: str, tmp_path: Path
) -> None:
    database = connect(Settings(_env_file=None, home=tmp_path, database_url=new_postgresql_url))
    with database.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        given = driver.info.get_parameters()
    database.engine.dispose()
    wanted = {
        "tcp_user_timeout": "10000",
        "keepalives_idle": "5",
        "keepalives_interval": "2",
        "keepalives_count": "3",
    }
    assert given.items() >= wanted.items()


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.transaction() as writer:
        add_study(writer)
        with database.reading() as reader:
            assert reader.scalars(sa.select(Study)).all() == []


def test_three_upgrades_at_once_all_succeed(new_postgresql_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schema", "upgrade"]
    given = os.environ | {"TRIAGE_DATABASE_URL": new_postgresql_url, "TRIAGE_HOME": str(tmp_path)}
    three = [subprocess.Popen(command, env=given, stderr=subprocess.PIPE) for _ in range(3)]
    said = [database.communicate()[1] for database in three]
    assert [database.returncode for database in three] == [0, 0, 0], said


def become_newer(database: Database, oldest_program: int | None) -> None:
    """Do what a migration of a later release would."""
    with database.transaction() as session:
        session.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        if oldest_program is not None:
            session.add(Compatibility(oldest_program=oldest_program))


def test_an_upgrade_that_a_forgotten_transaction_blocks_gives_up_and_names_it(
    new_postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_waits, "LOCK_WAIT_S", 1)
    settings = Settings(_env_file=None, home=tmp_path, database_url=new_postgresql_url)
    upgrade(settings)
    database = open_database(settings)
    config = alembic_config()
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")  # the way up from it changes the instances
    with database.engine.begin() as forgotten:
        forgotten.execute(sa.select(Instance.id))
        with pytest.raises(
            DatabaseUnavailableError, match=r"transaction open.*pg_terminate_backend"
        ):
            upgrade(settings)
    upgrade(settings)
    assert is_current(database)
    database.engine.dispose()


@pytest.mark.parametrize("oldest_program", [None, PROGRAM])
def test_a_program_runs_on_a_newer_database_that_still_fits_it(
    settings: Settings, database: Database, oldest_program: int | None
) -> None:
    become_newer(database, oldest_program)
    upgrade(settings)
    open_database(settings).engine.dispose()
    assert not is_current(database)


def test_a_database_too_new_for_a_program_says_so_in_one_line(
    settings: Settings, database: Database
) -> None:
    become_newer(database, PROGRAM + 1)
    for act in (upgrade, open_database):
        with pytest.raises(DatabaseUnavailableError, match="database: newer than this program"):
            act(settings)


def test_there_may_be_more_instances_and_bytes_than_32_bits_count(database: Database) -> None:
    with database.transaction() as session:
        series = add_series(add_study(session, "1.2.3"), session)
        instance = series.instances[0]
        instance.size_bytes = 2**40
        session.execute(sa.update(Instance).values(id=2**40))
        session.expire_all()
        assert session.scalars(sa.select(Instance.id)).one() == 2**40
        assert session.scalars(sa.select(Instance.size_bytes)).one() == 2**40
