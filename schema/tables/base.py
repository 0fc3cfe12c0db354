"""What all tables share: types, names of constraints, and the oldest program that may run."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Enum,
    Index,
    Integer,
    MetaData,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

UID_LENGTH = 64  # VR UI, PS3.5 section 6.2
BIG_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up an INTEGER alone


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, stored as UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware time into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back that SQLite dropped."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can find it again."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own declaration
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[float]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        # Text rather than the database's own enumeration: a new state needs no migration.
        StrEnum: Enum(StrEnum, native_enum=False, length=16),
    }


def partial_index(name: str, columns: tuple[str, ...], rows: str) -> Index:
    """Make an index of the rows that a condition holds for, however many others there are.

    A query finds it by the same words; with bound values neither database knows that it fits.
    """
    return Index(name, *columns, sqlite_where=text(rows), postgresql_where=text(rows))


class Compatibility(Base):
    """The oldest program that may run on these tables; written by migrations that take something.

    A migration that only adds leaves it alone, and so does one that takes what no program of the
    release before used: expand first, contract a release later. No row: any program may.
    """

    __tablename__ = "compatibility"

    id: Mapped[int] = mapped_column(primary_key=True)
    oldest_program: Mapped[int]
