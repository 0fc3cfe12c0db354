"""Where the slices of a series lie, read once from each file when the series falls quiet.

Not by the catalogue, which has to keep pace with the scanners, and not in every round.
"""

from collections.abc import Collection
from pathlib import Path

from sqlalchemy import func, select, update

from receiver.instance.geometry import axial_slice_position_mm
from receiver.instance.header import read_header
from schema.database import Database
from schema.errors import UnreadableObjectError
from schema.tables import Instance


def measure_places(
    database: Database, storage: Path, series_ids: Collection[int], max_objects: int
) -> int:
    """Fill in the places of instances that have none yet; return how many were read.

    What is no axial CT slice, or cannot be read, gets an empty list. Series of more than
    `max_objects` are passed over: a hundred thousand files would hold up everybody else.
    """
    readable = (
        select(Instance.series_id)
        .where(Instance.series_id.in_(series_ids))
        .group_by(Instance.series_id)
        .having(func.count() <= max_objects)
    )
    query = select(Instance.id, Instance.path).where(
        Instance.series_id.in_(readable), Instance.slice_position_mm.is_(None)
    )
    with database.reading() as session:
        paths = [(one.id, storage / one.path) for one in session.execute(query)]
    rows = [
        {"id": instance_id, "slice_position_mm": _slice_position_mm(path)}
        for instance_id, path in paths
        if path.exists()  # else it is still on its way to its place: the next round sees it
    ]
    if rows:
        with database.transaction() as session:
            session.execute(update(Instance), rows)
    return len(rows)


def _slice_position_mm(path: Path) -> list[float]:
    try:
        return axial_slice_position_mm(read_header(path)) or []
    except UnreadableObjectError:
        return []
