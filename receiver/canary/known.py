"""The known result of the synthetic head, and whether a result is that."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

FILE: Final = Path(__file__).with_name("known.toml")


class KnownVolume(BaseModel):
    """What one model measures."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model_sha256: str
    any_ml: float
    tolerance: float


class KnownResult(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: str
    outcome: str
    levels: list[int]
    volume: KnownVolume


class Result(BaseModel):
    """What became of a canary."""

    model_config = ConfigDict(frozen=True)

    outcome: str
    priority: int
    any_ml: float
    model_sha256: str | None
    reason: str | None


@cache
def load_known() -> KnownResult:
    """Read what it must come out as."""
    return KnownResult.model_validate(tomllib.loads(FILE.read_text("utf-8")))


def is_known(result: Result, known: KnownResult) -> bool:
    """Say whether a result is the known one, within the tolerance."""
    if result.outcome != known.outcome or result.priority not in known.levels:
        return False
    volume = known.volume
    if result.model_sha256 != volume.model_sha256:
        return True
    return abs(result.any_ml - volume.any_ml) <= volume.tolerance * volume.any_ml


def describe(result: Result, known: KnownResult) -> str:
    """Say what a result is beside what it should be."""
    if result.any_ml == 0 and result.outcome != known.outcome:
        return f"{result.outcome}: {result.reason}"
    same = result.model_sha256 == known.volume.model_sha256
    beside = f" of {known.volume.any_ml:.1f} mL" if same else ", of a model whose volume is unknown"
    return f"{result.outcome}, level {result.priority}, {result.any_ml:.1f} mL{beside}"
