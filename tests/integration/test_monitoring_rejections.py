"""Whom the acceptors turned away: counted by them, written by the receiver, kept a week."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from receiver.counts import counts_folder
from receiver.periodic.rejection_ledger import RejectionLedger
from schema.database import Database, read_clock
from schema.monitoring.rejections import (
    MOST_AN_HOUR,
    OTHERS,
    Refused,
    add_rejections,
    read_rejections,
)
from schema.settings import Settings
from schema.tables import Rejection
from tests.support.receivers import acceptors, echo_once

UNKNOWN = "calling AE title not recognised"
CT9 = Refused(UNKNOWN, "CT9", "10.1.2.9")


def test_rejections_add_up_by_reason_and_caller(database: Database) -> None:
    too_many = Refused("local limit exceeded", "CT1", "10.1.2.1")
    elsewhere = replace(CT9, peer="10.1.3.9")
    with database.transaction() as session:
        add_rejections(session, {CT9: 2, too_many: 1})
        add_rejections(session, {CT9: 3, elsewhere: 2})
        found = read_rejections(session, read_clock(session) - timedelta(hours=1), 10)
    assert found == [(CT9, 5), (elsewhere, 2), (too_many, 1)]


def test_a_scan_with_ever_new_titles_does_not_fill_the_table_and_its_address_is_told(
    database: Database,
) -> None:
    titles = (f"X{number}" for number in range(2 * MOST_AN_HOUR))
    with database.transaction() as session:
        add_rejections(session, {Refused(UNKNOWN, title, "10.6.6.6"): 1 for title in titles})
        rows = session.scalar(select(func.count(Rejection.id)))
        others = session.scalars(select(Rejection).where(Rejection.calling_ae == OTHERS)).one()
    assert rows == MOST_AN_HOUR + 1
    assert (others.count, others.peer) == (MOST_AN_HOUR, "10.6.6.6")


def test_a_scan_from_ever_new_addresses_does_not_fill_it_either(database: Database) -> None:
    callers = {Refused(UNKNOWN, f"X{n}", f"10.6.{n >> 8}.{n & 255}"): 1 for n in range(600)}
    with database.transaction() as session:
        add_rejections(session, callers)
        assert session.scalar(select(func.count(Rejection.id))) == 2 * MOST_AN_HOUR + 1
        assert session.scalar(select(func.sum(Rejection.count))) == len(callers)


def test_old_rejections_are_not_told_and_go_after_a_week(database: Database) -> None:
    with database.transaction() as session:
        now = read_clock(session)
        add_rejections(session, {CT9: 1})
        row = session.scalars(select(Rejection)).one()
        row.hour = now - timedelta(hours=3)
        session.flush()
        assert read_rejections(session, now - timedelta(hours=1), 10) == []
        row.hour = now - timedelta(days=7, hours=1)
        session.flush()
        add_rejections(session, {CT9: 4})
        assert session.scalars(select(Rejection.count)).all() == [4]


@pytest.mark.slow  # starts a receiver
@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_what_the_acceptors_turn_away_is_written_once(
    settings: Settings, database: Database
) -> None:
    with acceptors(settings.home, acceptors=2, callers="CT1@127.0.0.0/8") as ports:
        ledger = RejectionLedger(settings, database)
        assert ledger.write() == 0
        for _ in range(3):
            echo_once(ports["plain"], "CT9")
        assert [ledger.write(), ledger.write()] == [3, 0]
        echo_once(ports["plain"], "CT9")
        assert ledger.write() == 1
    with database.reading() as session:
        found = read_rejections(session, read_clock(session) - timedelta(hours=1), 10)
    assert found == [(replace(CT9, peer="127.0.0.1"), 4)]
    assert counts_folder(settings).is_dir()
