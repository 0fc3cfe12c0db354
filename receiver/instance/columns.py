"""A header as a column of its instance's row: written, and read back instead of the file."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from receiver.instance.header import Header
from receiver.protocol.identity import Identity
from schema.tables import Instance, Series

OWN_COLUMNS: Final = ("identity", "transfer_syntax_uid", "series_number", "requested")
NAMES: Final = frozenset(field.name for field in fields(Header)) - frozenset(OWN_COLUMNS)


def header_column(header: Header) -> dict[str, Any]:
    """Give what a header holds beyond the columns of its own; what is empty is left out."""
    named = [field for field in fields(Header) if field.name in NAMES]
    found = {field.name: (getattr(header, field.name), field.default) for field in named}
    return {name: value for name, (value, default) in found.items() if value != default}


def header_from(
    identity: Identity, transfer_syntax_uid: str, column: Mapping[str, Any] | None
) -> Header:
    """Make the header of a row; what a later release wrote into it is passed over."""
    given = {name: _frozen(value) for name, value in (column or {}).items() if name in NAMES}
    return Header(identity, transfer_syntax_uid, **given)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def newest_headers(
    session: Session, series_id: int, most: int
) -> tuple[frozenset[int], list[Header]]:
    """Give the ids of a series' newest instances, and their headers; none above `most` objects."""
    series = session.get_one(Series, series_id)
    query = select(Instance).where(Instance.series_id == series_id)
    count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    # Held until the headers are made: the session forgets what nobody holds, and would read each
    # header again in a query of its own.
    held = session.scalars(query.options(undefer(Instance.header))).all() if count <= most else []
    newest = series.newest_instances()
    if len(newest) > most:
        return frozenset(instance.id for instance in newest), []
    headers = [_header(series, instance) for instance in newest]
    del held
    return frozenset(instance.id for instance in newest), headers


def _header(series: Series, instance: Instance) -> Header:
    identity = Identity(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        series.study.study_instance_uid,
        series.series_instance_uid,
    )
    return header_from(identity, instance.transfer_syntax_uid, instance.header)
