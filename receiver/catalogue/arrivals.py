"""What is new about a batch of objects: by content, by encoding, and by when it was received."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from receiver.inbox import Sender
from receiver.instance.columns import header_from
from receiver.instance.header import Header
from receiver.instance.pixels import same_pixels
from receiver.instance.stored import StoredObject
from schema.tables import Instance, Series

ObjectKey = tuple[int, str]  # id of the series, SOP Instance UID


@dataclass(frozen=True, eq=False)
class Version:
    """What the database knows of one content of an object."""

    id: int
    number: int
    stored_at: datetime


Versions = dict[str, Version]  # by the sha256 of the content


@dataclass(frozen=True, eq=False)
class Arrival:
    """An object whose content was not the newest that is known of it.

    Attributes
    ----------
    row_id
        The row of a content that was replaced once and is the newest again.
    earlier
        The newest version that was known of it; None for a new object.
    earlier_header
        What that one said.
    is_other_encoding
        Whether it says what the earlier one said, in another transfer syntax.
    """

    stored: StoredObject
    series: Series
    version: int
    row_id: int | None = None
    earlier: Instance | None = None
    earlier_header: Header | None = None
    is_other_encoding: bool = False


@dataclass(frozen=True, eq=False)
class Repeat:
    """An object whose content was the newest that is known of it, received once more."""

    stored: StoredObject
    series: Series
    row_id: int


def in_order(objects: Sequence[StoredObject], senders: Mapping[str, Sender]) -> list[StoredObject]:
    """Sort objects as they were received, whatever the order in which they are found."""

    def received(stored: StoredObject) -> tuple[datetime, str, str]:
        sender = senders.get(stored.association or "")
        return stored.stored_at, sender.opened_at if sender else "", stored.path.name

    return sorted(objects, key=received)


def rounds(objects: Sequence[StoredObject]) -> Iterator[list[StoredObject]]:
    """Split objects, so that each round has an object once and the next one its later content."""
    while objects:
        first: dict[object, StoredObject] = {}
        later = []
        for stored in objects:
            if first.setdefault(stored.header.identity, stored) is not stored:
                later.append(stored)
        yield list(first.values())
        objects = later


def read_arrivals(
    session: Session, objects: Sequence[tuple[StoredObject, Series]], storage: Path
) -> tuple[list[Arrival], list[Repeat]]:
    """Part the objects whose content is known and the newest from others; say what those are.

    Each object is there once.
    """
    known = _known_versions(session, [stored for stored, _ in objects])
    found = [
        (stored, series, known.get((series.id, stored.header.identity.sop_instance_uid), {}))
        for stored, series in objects
    ]
    new = [each for each in found if _is_news(each[0], each[2])]
    earlier = _read_earlier(session, [versions for *_, versions in new if versions])
    arrivals = [
        _arrival(stored, series, versions, earlier.get(newest_id(versions)), storage)
        for stored, series, versions in new
    ]
    return arrivals, list(_repeats(found))


def _repeats(found: Sequence[tuple[StoredObject, Series, Versions]]) -> Iterator[Repeat]:
    for stored, series, versions in found:
        same = versions.get(stored.sha256)
        if same and same.id == newest_id(versions) and stored.stored_at > same.stored_at:
            yield Repeat(stored, series, same.id)


def _is_news(stored: StoredObject, versions: Versions) -> bool:
    """Say whether a content is new, or was replaced once and came again."""
    same = versions.get(stored.sha256)
    if same is None:
        return True
    return same.id != newest_id(versions) and stored.stored_at > same.stored_at


def newest_id(versions: Versions) -> int | None:
    """Give the row of what was received last; None if there is none."""
    last = max(
        versions.values(), key=lambda version: (version.stored_at, version.number), default=None
    )
    return None if last is None else last.id


def _known_versions(session: Session, objects: Sequence[StoredObject]) -> dict[ObjectKey, Versions]:
    """Read what is known of these objects, by series and UID."""
    uids = {stored.header.identity.sop_instance_uid for stored in objects}
    query = select(
        Instance.series_id, Instance.sop_instance_uid, Instance.sha256,
        Instance.id, Instance.version, Instance.stored_at, Instance.received_at,
    ).where(Instance.sop_instance_uid.in_(uids))  # fmt: skip
    known: dict[ObjectKey, Versions] = {}
    for series_id, uid, sha256, row_id, number, stored_at, received_at in session.execute(query):
        versions = known.setdefault((series_id, uid), {})
        versions[sha256] = Version(row_id, number, stored_at or received_at)
    return known


def _read_earlier(session: Session, versions: Sequence[Versions]) -> dict[int | None, Instance]:
    """Read the newest known version of each of these objects, with its header."""
    ids = [newest_id(each) for each in versions]
    if not ids:
        return {}
    query = select(Instance).where(Instance.id.in_(ids)).options(undefer(Instance.header))
    return {instance.id: instance for instance in session.scalars(query)}


def _arrival(
    stored: StoredObject,
    series: Series,
    versions: Versions,
    earlier: Instance | None,
    storage: Path,
) -> Arrival:
    same = versions.get(stored.sha256)
    if same is not None:
        number, row_id = same.number, same.id
    else:
        number, row_id = max((version.number for version in versions.values()), default=0) + 1, None
    if earlier is None:
        return Arrival(stored, series, number, row_id)
    said = header_from(stored.header.identity, earlier.transfer_syntax_uid, earlier.header)
    recoded = _is_other_encoding(stored, earlier, said, storage)
    return Arrival(stored, series, number, row_id, earlier, said, recoded)


def _is_other_encoding(
    stored: StoredObject, earlier: Instance, said: Header, storage: Path
) -> bool:
    """Say whether an object says what an earlier one said, in another transfer syntax.

    Where one of them is compressed, their pixels are not compared: the front door decodes nothing.
    """
    syntax = stored.header.transfer_syntax_uid
    return (
        earlier.transfer_syntax_uid != syntax
        and replace(said, transfer_syntax_uid=syntax) == stored.header
        and same_pixels(storage / earlier.path, stored.path) is not False
    )
