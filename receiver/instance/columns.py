"""A header as a column of its instance's row, so that nobody has to read the file again."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from receiver.instance.header import Header
from receiver.protocol.identity import Identity

OWN_COLUMNS: Final = ("identity", "transfer_syntax_uid")


def header_column(header: Header) -> dict[str, Any]:
    """Give what a header holds beyond the columns of its own; what is empty is left out."""
    named = [field for field in fields(Header) if field.name not in OWN_COLUMNS]
    found = {field.name: (getattr(header, field.name), field.default) for field in named}
    return {name: value for name, (value, default) in found.items() if value != default}


def header_from(
    identity: Identity, transfer_syntax_uid: str, column: Mapping[str, Any] | None
) -> Header:
    """Make the header of a row."""
    given = {name: _frozen(value) for name, value in (column or {}).items()}
    return Header(identity, transfer_syntax_uid, **given)


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
