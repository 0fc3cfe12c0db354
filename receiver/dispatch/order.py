"""The order of the queue, read from a versioned TOML file; a file that loads is a valid one."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from schema.rule_files import Table, read_table

SHIPPED: Final = Path(__file__).with_name("order.toml")

Points = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
ByName = dict[Name, Points]


class ByPriority(Table):
    """Points for Priority (0000,0700)."""

    high: Points
    medium: Points
    low: Points


class Other(Table):
    """Points for what nobody waits for."""

    analysed_before: Points
    scanned_days: Annotated[int, Field(ge=1)]
    scanned_before: Points


class Order(Table):
    """The whole file."""

    version: Annotated[str, Field(min_length=1, max_length=24, pattern=r"\S")]
    overdue_min: Annotated[float, Field(gt=0, le=1440, allow_inf_nan=False)]
    calling_ae: ByName
    called_ae: ByName
    station: ByName
    dimse_priority: ByPriority
    requested_priority: ByName
    location: ByName
    description: ByName
    other: Other


def load_order(path: Path | None = None) -> Order:
    """Read the file, the shipped one by default.

    Raises
    ------
    SettingsError
        If it is missing or no TOML, or has an unknown, missing or bad value; one line that names
        the file and the key.
    """
    return read_table(Order, path or SHIPPED, "the order of the queue")
