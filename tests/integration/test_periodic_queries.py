"""No query that is asked over and over reads a table that grows from end to end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from receiver.periodic.steps import receiver_steps
from receiver.roster import Presence
from schema.database import Database, connect, upgrade
from schema.settings import Settings
from schema.tables import CRITICAL_UNSEEN, FILES_KEPT, UNSTATED
from tests.benchmarks.filled import INSTANCES, fill
from tests.support.periodic import STEPS, periodic
from tests.support.plans import noting, walked

STUDIES = 400


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Settings, Database]]:
    """Give a database with studies in every state, once for all tests."""
    url = None
    if request.param == "postgresql":
        url = request.getfixturevalue("filled_postgresql_url")
    home = tmp_path_factory.mktemp("filled") / "home"
    settings = Settings(_env_file=None, home=home, database_url=url)
    upgrade(settings)
    database = connect(settings)
    fill(database, 0, STUDIES)
    yield settings, database
    database.engine.dispose()


@pytest.fixture(scope="module")
def filled_postgresql_url(postgresql_url: str) -> str:
    """Give the URL of a database for this module."""
    url = sa.make_url(postgresql_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE filled")
    engine.dispose()
    return url.set(database="filled").render_as_string(hide_password=False)


def test_the_filler_leaves_each_study_with_its_instances_and_some_in_every_state(
    filled: tuple[Settings, Database],
) -> None:
    _, database = filled
    with database.reading() as session:
        states = session.execute(
            sa.text("SELECT state, count(*) AS number FROM study GROUP BY state")
        ).all()
        instances = session.scalar(sa.text("SELECT count(*) FROM instance"))
    counted = {row.state: row.number for row in states}
    assert counted == {"RECEIVING": 20, "READY": 40, "RUNNING": 4, "DONE": STUDIES - 64}
    assert instances == INSTANCES * STUDIES


def test_no_periodic_query_reads_a_table_from_end_to_end(
    filled: tuple[Settings, Database], tmp_path: Path
) -> None:
    settings, database = filled
    found: list[str] = []
    for name, ask in periodic(settings, database, tmp_path).items():
        with noting(database) as noted:
            ask()
        with database.engine.connect() as connection:
            for statement, values in noted:
                found += [f"{name}: {one}" for one in walked(connection, statement, values)]
    assert found == []


def test_a_query_without_an_index_is_found_out(filled: tuple[Settings, Database]) -> None:
    _, database = filled
    with database.engine.connect() as connection:
        assert walked(connection, "SELECT id FROM instance WHERE size_bytes = 7", ())
        sorted_first = "SELECT id FROM instance ORDER BY size_bytes LIMIT 5"
        assert walked(connection, sorted_first, ())
        by_index = "SELECT size_bytes FROM instance WHERE sop_instance_uid = '1.2'"
        assert not walked(connection, by_index, ())


def test_every_step_of_the_receiver_has_its_queries_here(
    filled: tuple[Settings, Database], tmp_path: Path
) -> None:
    settings, database = filled
    peers = {"retention_days": 30, "count_peers": "CT1=127.0.0.1:104", "canary_minutes": 15}
    both = Settings(_env_file=None, home=settings.home, **peers)
    steps = receiver_steps(both, database, Presence(both.storage))
    assert {step.name for step in steps} == STEPS.keys()
    names = {name for queries in STEPS.values() for name in queries} - {""}
    assert names <= periodic(settings, database, tmp_path).keys()


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (FILES_KEPT, "ix_study_files_kept"),
        (UNSTATED, "ix_study_unstated"),
        (CRITICAL_UNSEEN, "ix_study_critical_unseen"),
    ],
)
def test_what_is_due_is_read_from_the_index_of_just_that(
    filled: tuple[Settings, Database], rows: str, index: str
) -> None:
    _, database = filled
    way = "QUERY PLAN " if database.engine.dialect.name == "sqlite" else ""
    with database.engine.connect() as connection:
        if not way:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = connection.exec_driver_sql(f"EXPLAIN {way}SELECT id FROM study WHERE {rows}").all()
    assert index in str(plan)
