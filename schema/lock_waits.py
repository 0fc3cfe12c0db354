"""Migrations wait a while for a lock, not for ever: who uses the table next waits behind them."""

from typing import Final

import sqlalchemy as sa

LOCK_WAIT_S: Final = 10
LOCK_NOT_AVAILABLE: Final = "55P03"  # PostgreSQL's SQLSTATE
OLDEST_TRANSACTION: Final = sa.text(
    "SELECT pid, coalesce(host(client_addr), 'this host') AS host,"
    " round(extract(epoch FROM clock_timestamp() - xact_start)) AS age_s"
    " FROM pg_stat_activity WHERE datname = current_database()"
    " AND xact_start IS NOT NULL AND pid <> pg_backend_pid() ORDER BY xact_start LIMIT 1"
)


def limit_lock_waits(connection: sa.Connection) -> None:
    """Let this transaction on PostgreSQL give up a lock that it does not get."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'")


def why_locked(engine: sa.Engine, error: sa.exc.DBAPIError) -> str | None:
    """Say who holds the lock that was not got; None if the error is another one."""
    if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
        return None
    with engine.connect() as connection:
        holder = connection.execute(OLDEST_TRANSACTION).one_or_none()
    nothing = f"a lock was not to be had within {LOCK_WAIT_S} s, and nothing was changed"
    if holder is None:
        return f"{nothing}; run it again"
    since = f"has had a transaction open for {holder.age_s:.0f} s"
    return (
        f"{nothing}: a program on {holder.host} {since};"
        f" end it, or SELECT pg_terminate_backend({holder.pid}), and run this again"
    )
