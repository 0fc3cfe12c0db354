"""The order of the queue, read from a versioned TOML file; a file that loads is a valid one."""

import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schema.errors import SettingsError

SHIPPED: Final = Path(__file__).with_name("order.toml")

Points = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
ByName = dict[Name, Points]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ByPriority(_Table):
    """Points for Priority (0000,0700)."""

    high: Points
    medium: Points
    low: Points


class Other(_Table):
    """Points for what nobody waits for."""

    analysed_before: Points
    scanned_days: Annotated[int, Field(ge=1)]
    scanned_before: Points


class Order(_Table):
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
    path = path or SHIPPED
    try:
        return Order.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; put the order of the queue there"
        ) from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error)}; compare it with the shipped one") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SettingsError(f"{path}: {error}; compare it with the shipped one") from error


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    words = {"missing": "is missing", "extra_forbidden": "is no key of it"}
    return f"{key}: {words.get(first['type'], first['msg'])}"
