"""The headers of a series, read from its rows and not from its files."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session, undefer

from receiver.instance.columns import header_from
from receiver.instance.header import Header
from receiver.protocol.identity import Identity
from schema.tables import Instance, Series


def newest_headers(
    session: Session, series_id: int, most: int
) -> tuple[frozenset[int], list[Header]]:
    """Give the ids of a series' newest instances, and their headers; none above `most` objects."""
    series = session.get_one(Series, series_id)
    query = select(Instance).where(Instance.series_id == series_id)
    count = session.scalar(select(func.count()).select_from(query.subquery())) or 0
    if count <= most:
        session.scalars(query.options(undefer(Instance.header))).all()
    newest = series.newest_instances()
    if len(newest) > most:
        return frozenset(instance.id for instance in newest), []
    headers = [_header(series, instance) for instance in newest]
    return frozenset(instance.id for instance in newest), headers


def _header(series: Series, instance: Instance) -> Header:
    identity = Identity(
        instance.sop_class_uid,
        instance.sop_instance_uid,
        series.study.study_instance_uid,
        series.series_instance_uid,
    )
    return header_from(identity, instance.transfer_syntax_uid, instance.header)
