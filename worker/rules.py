"""The thresholds of the priority rule, read from a versioned TOML file; one that loads is valid."""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from schema.rule_files import Table, read_table

SHIPPED: Final = Path(__file__).with_name("rules.toml")

Amount = Annotated[float, Field(gt=0, allow_inf_nan=False)]  # mL or mm
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class Critical(Table):
    """Level 1: thresholds in mL and mm."""

    edh_ml: Amount
    iph_ml: Amount
    untyped_ml: Amount
    total_ml: Amount
    midline_shift_mm: Amount
    sdh_thickness_mm: Amount
    infratentorial_ml: Amount


class High(Table):
    """Level 2: thresholds in mL; EDH, SAH and IVH also need the probability."""

    edh_ml: Amount
    sah_ml: Amount
    ivh_ml: Amount
    probability: Share
    iph_ml: Amount
    sdh_ml: Amount
    untyped_ml: Amount


class Review(Table):
    """Level 3: the probability from which a study without a segment is looked at again."""

    probability: Share


class CoverageLimits(Table):
    """How much of a head must be seen before "none found" is said of it."""

    share: Share
    gap_mm: Amount


class Rules(Table):
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
    return read_table(Rules, path or SHIPPED, "the rule file")
