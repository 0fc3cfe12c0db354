"""The rules of selection, read from a versioned TOML file; a file that loads is a valid one."""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from schema.errors import SettingsError

SHIPPED: Final = Path(__file__).with_name("selection.toml")
NOTHING: Final = r"(?!)"  # what an empty list of patterns finds


def _compile(patterns: object) -> re.Pattern[str]:
    """Make one pattern of a list of them.

    Raises
    ------
    ValueError
        If it is no list of texts, or one is no regular expression.
    """
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise ValueError("must be a list of patterns")
    for one in patterns:
        try:
            re.compile(one)
        except re.error as error:
            raise ValueError(f"bad pattern {one!r}: {error}") from error
    return re.compile("|".join(f"(?:{one})" for one in patterns) or NOTHING, re.IGNORECASE)


Patterns = Annotated[re.Pattern[str], BeforeValidator(_compile)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ImageTypes(_Table):
    """Values of Image Type (0008,0008), in capitals."""

    localizer: list[str]
    derived: list[str]
    averaged: list[str]
    multi_energy: list[str]


class Names(_Table):
    """Patterns for what people and scanners call a series."""

    localizer: Patterns
    phantom: Patterns
    phantom_patient: Patterns
    screen: Patterns
    perfusion: Patterns
    multi_energy: Patterns
    non_contrast: Patterns
    contrast: Patterns
    bone: Patterns
    head: Patterns
    not_brain: Patterns
    body: Patterns
    whole_body: Patterns
    no_agent: Patterns


class Kernels(_Table):
    """Patterns for Convolution Kernel (0018,1210)."""

    soft: Patterns
    medium: Patterns
    sharp: Patterns


class StackLimits(_Table):
    """What a stack of slices must be."""

    max_objects: Annotated[int, Field(ge=2)]
    min_slices: Annotated[int, Field(ge=2)]
    min_extent_mm: Millimetres
    max_extent_mm: Millimetres
    head_extent_mm: Millimetres
    max_tilt_degrees: Annotated[float, Field(gt=0, lt=90)]
    min_spacing_mm: Millimetres
    max_spacing_mm: Millimetres
    max_images_per_position: Annotated[int, Field(ge=1)]
    max_unread_fraction: Annotated[float, Field(ge=0, lt=1)]


class EvidenceLimits(_Table):
    """When positions prove a series whole."""

    min_extent_mm: Millimetres
    max_parts: Annotated[int, Field(ge=1)]


class StepPoints(_Table):
    """Points for a step between slices up to a limit."""

    up_to_mm: Millimetres
    points: Finite


class Weights(_Table):
    """Points of the score."""

    base: Finite
    soft_kernel: Finite
    medium_kernel: Finite
    original: Finite
    axial: Finite
    head: Finite
    named_non_contrast: Finite
    perhaps_contrast: Finite
    perhaps_bone: Finite
    perhaps_phantom: Finite
    left_out: Finite
    longer_than_head: Finite
    wide_field_mm: Millimetres
    wide_field: Finite
    per_slice: Finite
    per_slice_at_most: Finite
    steps: Annotated[list[StepPoints], Field(min_length=1)]


class SelectionRules(_Table):
    """The whole rule file."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    image_types: ImageTypes
    names: Names
    kernels: Kernels
    stack: StackLimits
    evidence: EvidenceLimits
    score: Weights


def load_rules(path: Path | None = None) -> SelectionRules:
    """Read the rule file, the shipped one by default.

    Raises
    ------
    SettingsError
        If the file is missing or no TOML, or has an unknown, missing or bad value; one line that
        names the file and the key.
    """
    path = path or SHIPPED
    try:
        return SelectionRules(**tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; put the selection rules there") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {_first(error)}") from error
    except (ValueError, TypeError) as error:  # TOML and UTF-8 errors are ValueErrors
        raise SettingsError(f"{path}: {error}; compare it with the shipped file") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {first['msg'].removeprefix('Value error, ')}"
