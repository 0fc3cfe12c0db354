"""The thresholds of the priority rule, read from a versioned TOML file; one that loads is valid."""

import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schema.errors import SettingsError

SHIPPED: Final = Path(__file__).with_name("rules.toml")

Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # mL or mm
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Critical(_Table):
    """Level 1: thresholds in mL and mm."""

    edh_ml: Amount
    iph_ml: Amount
    untyped_ml: Amount
    total_ml: Amount
    midline_shift_mm: Amount
    sdh_thickness_mm: Amount
    infratentorial_ml: Amount


class High(_Table):
    """Level 2: thresholds in mL; EDH, SAH and IVH also need the probability."""

    edh_ml: Amount
    sah_ml: Amount
    ivh_ml: Amount
    probability: Share
    iph_ml: Amount
    sdh_ml: Amount
    untyped_ml: Amount


class Review(_Table):
    """Level 3: the probability from which a study without a segment is looked at again."""

    probability: Share


class CoverageLimits(_Table):
    """How much of a head must be seen before "none found" is said of it."""

    share: Share
    gap_mm: Amount


class Rules(_Table):
    """The whole rule file."""

    version: Annotated[str, Field(min_length=1, pattern=r"\S")]
    critical: Critical
    high: High
    review: Review
    coverage: CoverageLimits


def load_rules(path: Path | None = None) -> Rules:
    """Read the rule file, the shipped one by default.

    Raises
    ------
    SettingsError
        The file is missing, is no TOML, or has an unknown, missing or impossible value; the
        message names the file and the key.
    """
    path = path or SHIPPED
    try:
        return Rules.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; put the rule file there") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error)}; compare it with the shipped one") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise SettingsError(f"{path}: {error}; compare it with the shipped one") from error


def _first(error: ValidationError) -> str:
    """Name the first key that is wrong, and what is wrong with it."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    given = "" if first["type"] in ("missing", "extra_forbidden") else f" = {first['input']!r}"
    words = {"missing": "is missing", "extra_forbidden": "is no key of it"}
    return f"{key}{given}: {words.get(first['type'], first['msg'])}"
