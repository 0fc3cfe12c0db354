"""One receiver leads, on both databases; when it ends or falls silent, another does."""

import pytest

from receiver.periodic import leadership
from receiver.periodic.leadership import Leadership
from schema.database import Database, connect
from schema.errors import DatabaseUnavailableError
from schema.settings import Settings
from tests.support.processes import wait_for

GONE_S = 5  # what the operator's pages promise
only_postgresql = pytest.mark.parametrize("settings", ["postgresql"], indirect=True)


def leads_now(candidate: Leadership) -> bool:
    candidate.seek()
    return candidate.leads()


def test_of_two_receivers_one_leads_until_it_is_gone(database: Database) -> None:
    first, second = Leadership(database, "receivers"), Leadership(database, "receivers")
    assert leads_now(first)
    assert not leads_now(second)
    assert leads_now(first)
    del first
    wait_for("other leader", lambda: leads_now(second))


def test_each_name_has_a_leader_of_its_own(database: Database) -> None:
    assert leads_now(Leadership(database, "receivers"))
    assert leads_now(Leadership(database, "storage"))


def test_what_the_leader_alone_does_is_done_by_no_other(database: Database) -> None:
    first, second = Leadership(database, "receivers"), Leadership(database, "receivers")
    done: list[str] = []
    for candidate, name in ((first, "first"), (second, "second")):
        candidate.alone(lambda name=name: done.append(name))()  # type: ignore[misc]
    assert done == ["first"]


@only_postgresql
def test_a_leader_that_falls_silent_is_followed_and_knows_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Leadership(database, "receivers"), Leadership(database, "receivers")
    assert leads_now(first)
    wait_for("other leader", lambda: leads_now(second))
    with pytest.raises(DatabaseUnavailableError):
        first.leads()
    assert not first.leads()


@only_postgresql
def test_without_a_database_nobody_leads(settings: Settings, database: Database) -> None:
    candidate = Leadership(database, "receivers")
    assert leads_now(candidate)
    end_all_connections(settings)
    with pytest.raises(DatabaseUnavailableError):
        candidate.seek()
    assert not candidate._holds
    assert leads_now(candidate)


def end_all_connections(settings: Settings) -> None:
    other = connect(settings)
    with other.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    other.engine.dispose()


def test_a_lease_ends_here_before_it_ends_there() -> None:
    assert leadership.LOOK_S < leadership.SILENT_S < GONE_S - leadership.LOOK_S
